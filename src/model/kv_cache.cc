#include "model/kv_cache.h"

#include <utility>

namespace dray::model {

Result<KvCache> KvCache::Make(kernels::Backend& backend, const DecoderConfig& config,
                              const KvCacheSpec& spec) {
  KvCache cache;
  cache.spec_ = spec;
  cache.num_kv_heads_ = config.num_kv_heads;
  cache.head_dim_ = config.head_dim;
  const Shape shape = {spec.num_blocks, config.num_kv_heads, config.head_dim, spec.block_size};
  for (int64_t layer = 0; layer < config.num_layers; ++layer) {
    DRAY_ASSIGN_OR_RETURN(Tensor keys, Tensor::Make(backend.allocator(), spec.dtype, shape));
    DRAY_ASSIGN_OR_RETURN(Tensor values, Tensor::Make(backend.allocator(), spec.dtype, shape));
    cache.keys_.push_back(std::move(keys));
    cache.values_.push_back(std::move(values));
  }
  return cache;
}

int64_t KvCache::BlockBytes(const DecoderConfig& config, const KvCacheSpec& spec) {
  return 2 * config.num_layers * config.kv_width() * spec.block_size *
         static_cast<int64_t>(SizeOf(spec.dtype));
}

kernels::KvLayer KvCache::Layer(int64_t layer) const {
  const auto i = static_cast<size_t>(layer);
  return {keys_[i].as<void>(), values_[i].as<void>(), spec_.dtype, num_kv_heads_,
          head_dim_,           spec_.block_size};
}

}  // namespace dray::model
