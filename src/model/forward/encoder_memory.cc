#include "model/forward/encoder_memory.h"

#include "kernels/ops.h"

namespace dray::model {
namespace {

// The smallest block that a cache may have: a text's last block is filled by half on average.
constexpr int64_t kBlockSize = 16;
// Of the arrays that TokenEmbedding has for each token.
constexpr int64_t kEmbeddingWords = 4;

}  // namespace

// Each text has one block at most that is not full.
KvCacheSpec EncoderCacheSpec(const EncoderLimits& limits) {
  return {.num_blocks = limits.max_batch_tokens / kBlockSize + limits.max_texts,
          .block_size = kBlockSize,
          .dtype = limits.kv_dtype,
          .layers = CacheLayers::kShared};
}

int64_t EncoderIndexWords(const EncoderLimits& limits) {
  constexpr auto kSequenceWords =
      static_cast<int64_t>(sizeof(kernels::AttentionSequence) / sizeof(int32_t));
  return limits.max_texts * (kSequenceWords + 1) + limits.max_batch_tokens +
         EncoderCacheSpec(limits).num_blocks;
}

int64_t EncoderMemoryBytes(const ModelConfig& config, const StackConfig& stack,
                           const EncoderLimits& limits) {
  const KvCacheSpec cache = EncoderCacheSpec(limits);
  // The rows that LayerStack has for each token.
  const int64_t layer_words = stack.hidden + stack.qkv_width() + stack.query_width() + stack.ffn;
  int64_t words =
      EncoderIndexWords(limits) + limits.max_batch_tokens * (layer_words + kEmbeddingWords);
  if (config.classifier) {
    words += limits.max_texts * (2 * stack.hidden + config.classifier->num_labels());
  }
  return words * static_cast<int64_t>(sizeof(float)) +
         cache.num_blocks * KvCache::BlockBytes(stack, cache);
}

}  // namespace dray::model
