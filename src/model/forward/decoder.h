// The one forward pass of every decoder family. A step is a ragged batch: for each sequence a
// range of tokens to compute, whether they are a prompt, a piece of one, or the one token of
// a decode step.
#pragma once

#include <cstdint>
#include <memory>
#include <span>
#include <vector>

#include "kernels/backend.h"
#include "model/config/model_config.h"
#include "model/forward/kv_cache.h"
#include "model/weights/weights.h"

namespace dray::model {

struct DecoderLimits {
  int64_t max_batch_tokens = 0;
  int64_t max_sequences = 0;
  // Rows of logits computed at once.
  int64_t max_logit_rows = 0;
  // Entries of RaggedBatch::block_tables.
  int64_t max_table_entries = 0;
};

// One step, described in host memory. Rows of different sequences follow each other; a sequence's
// rows are contiguous.
struct RaggedBatch {
  std::vector<int32_t> ids;        // [num_tokens]
  std::vector<int32_t> positions;  // [num_tokens], from 0 in each sequence
  std::vector<int32_t> slots;      // [num_tokens]: where keys and values go in the cache
  // [num_tokens]: how many tokens were known when this one was first computed: for a prompt's
  // tokens its whole length, for others their position + 1. Dynamic rotary scaling depends on it,
  // and on nothing that batching or preemption change.
  std::vector<int32_t> known_tokens;
  std::vector<kernels::AttentionSequence> sequences;
  std::vector<int32_t> block_tables;

  void Clear();
  // Room for every step within the limits, so that none allocates.
  void Reserve(const DecoderLimits& limits);
};

class Decoder {
 public:
  // Allocates all working memory; Forward and Logits allocate none. The arguments must
  // outlive the decoder.
  static Result<std::unique_ptr<Decoder>> Make(const ModelConfig& config, const Weights& weights,
                                               kernels::Backend& backend,
                                               const DecoderLimits& limits);

  // Computes the batch and writes its keys and values into the cache. An error that the backend
  // finds later is returned by Logits or by the backend's EndStep.
  Status Forward(const RaggedBatch& batch, const KvCache& cache);
  // Logits of some rows of the last Forward, at most max_logit_rows: [rows.size(), vocab]
  // into host memory.
  Status Logits(std::span<const int32_t> rows, std::span<float> out);

 private:
  // Device arrays of one step, uploaded together.
  struct Indices {
    int32_t* ids = nullptr;
    int32_t* position_rows = nullptr;
    int32_t* slots = nullptr;
    int32_t* rope_rows = nullptr;
    int32_t* block_tables = nullptr;
    int32_t* logit_rows = nullptr;
    kernels::AttentionSequence* sequences = nullptr;
  };

  Decoder(const ModelConfig& config, const Weights& weights, kernels::Backend& backend,
          const DecoderLimits& limits);
  Status Allocate();
  Status AllocateIndices();
  Status Upload(const RaggedBatch& batch);
  Status UploadRope(const RaggedBatch& batch);
  void EmbedTokens();
  void Layer(int64_t layer, const KvCache& cache);
  // Writes the attention's output, before its projection, into attention_. `norm` is of x_, null
  // for none.
  void AttentionCore(int64_t layer, const kernels::VectorNorm* norm, const KvCache& cache);
  void AddAttentionOut(int64_t layer);
  void FeedForwardIn(int64_t layer, const kernels::VectorNorm* norm);
  void AddFeedForwardOut(int64_t layer);
  // x_ becomes its norm.
  void NormInPlace(const kernels::VectorNorm& norm);
  kernels::VectorNorm NormOf(Slot weight, Slot bias, int64_t layer) const;
  // Arguments of a layer's projection of this step's rows of `in`.
  kernels::LinearArgs Projection(Slot weight, Slot bias, int64_t layer, const Tensor& in) const;

  const ModelConfig& model_config_;
  const StackConfig& config_;  // of the one stack
  const Weights& model_weights_;
  const StackWeights& weights_;
  kernels::Memory& memory_;
  kernels::Ops& ops_;
  DecoderLimits limits_;

  Indices indices_;
  Tensor index_memory_;
  Tensor x_;          // [max_batch_tokens, hidden]: the residual stream
  Tensor embedded_;   // [max_batch_tokens, embed_dim], only with a projection in
  Tensor qkv_;        // [max_batch_tokens, qkv_width]
  Tensor attention_;  // [max_batch_tokens, query_width]
  Tensor ffn_;        // [max_batch_tokens, ffn]
  Tensor cos_sin_;    // [max_batch_tokens, rope.dim]
  Tensor head_in_;    // [max_logit_rows, hidden]
  Tensor projected_;  // [max_logit_rows, embed_dim], only with a projection out
  Tensor logits_;     // [max_logit_rows, vocab]
  Tensor alibi_;      // [num_heads]

  std::vector<float> inverse_frequencies_;
  std::vector<float> host_cos_sin_;
  std::vector<int32_t> rope_rows_;
  std::vector<int32_t> position_rows_;
  int64_t num_tokens_ = 0;
  int64_t num_sequences_ = 0;
};

}  // namespace dray::model
