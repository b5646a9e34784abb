#include "model/forward/kv_cache.h"

#include <utility>

namespace dray::model {

Result<KvCache> KvCache::Make(kernels::Backend& backend, const StackConfig& stack,
                              const KvCacheSpec& spec) {
  KvCache cache;
  cache.spec_ = spec;
  cache.num_kv_heads_ = stack.num_kv_heads;
  cache.head_dim_ = stack.head_dim;
  Allocator& allocator = backend.memory().allocator();
  const Shape scales_shape = {2, spec.num_blocks, stack.num_kv_heads, spec.block_size};
  const Shape shape = {spec.num_blocks, stack.num_kv_heads, stack.head_dim, spec.block_size};
  for (int64_t layer = 0; layer < spec.NumLayers(stack); ++layer) {
    DRAY_ASSIGN_OR_RETURN(Tensor keys, Tensor::Make(allocator, spec.dtype, shape));
    DRAY_ASSIGN_OR_RETURN(Tensor values, Tensor::Make(allocator, spec.dtype, shape));
    cache.keys_.push_back(std::move(keys));
    cache.values_.push_back(std::move(values));
    if (spec.dtype != DType::kI8) continue;
    DRAY_ASSIGN_OR_RETURN(Tensor scales, Tensor::Make(allocator, DType::kF32, scales_shape));
    cache.scales_.push_back(std::move(scales));
  }
  return cache;
}

int64_t KvCache::BlockBytes(const StackConfig& stack, const KvCacheSpec& spec) {
  const auto scale_bytes =
      spec.dtype == DType::kI8 ? stack.num_kv_heads * static_cast<int64_t>(sizeof(float)) : 0;
  const int64_t token_bytes =
      stack.kv_width() * static_cast<int64_t>(SizeOf(spec.dtype)) + scale_bytes;
  return 2 * spec.NumLayers(stack) * spec.block_size * token_bytes;
}

kernels::KvLayer KvCache::Layer(int64_t layer) const {
  const auto i = static_cast<size_t>(spec_.layers == CacheLayers::kOwn ? layer : 0);
  kernels::KvLayer part{keys_[i].as<void>(), values_[i].as<void>(), spec_.dtype, num_kv_heads_,
                        head_dim_,           spec_.block_size};
  if (spec_.dtype == DType::kI8) {
    part.key_scales = scales_[i].as<float>();
    part.value_scales = part.key_scales + spec_.num_blocks * num_kv_heads_ * spec_.block_size;
  }
  return part;
}

}  // namespace dray::model
