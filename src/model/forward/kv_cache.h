// The storage of the paged key/value cache: blocks that scheduler::BlockPool hands out, each with the keys and values of
// all layers. It knows no sequences.
#pragma once

#include <cstdint>

#include "kernels/backend.h"
#include "model/config/stack_config.h"
#include "tensor/tensor.h"

namespace dray::model {

enum class CacheLayers : uint8_t {
  kOwn,     // every layer has memory of its own
  kShared,  // all layers use the memory of one in turn: a pass whose keys no later pass reads
};

struct KvCacheSpec {
  int64_t num_blocks = 0;
  // Tokens in a block, a multiple of 16.
  int64_t block_size = 32;
  DType dtype = DType::kF32;  // f32, f16, bf16, or i8 with an f32 scale for each token and head
  CacheLayers layers = CacheLayers::kOwn;

  // How many layers of memory the layers of `stack` have.
  int64_t NumLayers(const StackConfig& stack) const {
    return layers == CacheLayers::kOwn ? stack.num_layers : 1;
  }
};

class KvCache {
 public:
  static Result<KvCache> Make(kernels::Backend& backend, const StackConfig& stack,
                              const KvCacheSpec& spec);
  // Memory for one block of all layers, scales included.
  static int64_t BlockBytes(const StackConfig& stack, const KvCacheSpec& spec);

  const KvCacheSpec& spec() const { return spec_; }
  kernels::KvLayer Layer(int64_t layer) const;

 private:
  KvCacheSpec spec_;
  int64_t num_kv_heads_ = 0;
  int64_t head_dim_ = 0;
  int64_t num_layers_ = 0;
  // [block][layer][2]: keys, then values. A block's layers lie side by side, so that a sequence's first tokens touch few
  // pages: the system clears a page when it is first written to, and huge pages would be one or two for each layer.
  Tensor numbers_;
  Tensor scales_;  // i8 only, in the same order
};

}  // namespace dray::model
