#include "model/forward/kv_cache.h"

#include <utility>

namespace dray::model {

Result<KvCache> KvCache::Make(kernels::Backend& backend, const StackConfig& stack,
                              const KvCacheSpec& spec) {
  KvCache cache;
  cache.spec_ = spec;
  cache.num_kv_heads_ = stack.num_kv_heads;
  cache.head_dim_ = stack.head_dim;
  cache.num_layers_ = spec.NumLayers(stack);
  Allocator& allocator = backend.memory().allocator();
  const int64_t heads = 2 * cache.num_layers_ * stack.num_kv_heads;
  DRAY_ASSIGN_OR_RETURN(cache.numbers_,
                        Tensor::Make(allocator, spec.dtype,
                                     {spec.num_blocks, heads, spec.block_size, stack.head_dim}));
  if (spec.dtype != DType::kI8) return cache;
  DRAY_ASSIGN_OR_RETURN(cache.scales_, Tensor::Make(allocator, DType::kF32,
                                                    {spec.num_blocks, heads, spec.block_size}));
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
  const int64_t first = spec_.layers == CacheLayers::kOwn ? 2 * layer : 0;
  const int64_t tokens = num_kv_heads_ * spec_.block_size;
  const int64_t bytes = tokens * head_dim_ * static_cast<int64_t>(SizeOf(spec_.dtype));
  std::byte* const keys = numbers_.as<std::byte>() + first * bytes;
  kernels::KvLayer part = {.keys = keys,
                           .values = keys + bytes,
                           .dtype = spec_.dtype,
                           .num_kv_heads = num_kv_heads_,
                           .head_dim = head_dim_,
                           .block_size = spec_.block_size};
  part.block_step = 2 * num_layers_;
  if (spec_.dtype == DType::kI8) {
    part.key_scales = scales_.as<float>() + first * tokens;
    part.value_scales = part.key_scales + tokens;
  }
  return part;
}

}  // namespace dray::model
