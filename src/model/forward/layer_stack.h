// The layers of a stack on the residual stream of a step's rows: the one pass that decoders and
// encoders share. What comes before the first layer (token_embedding.h) and after the last one is
// theirs.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>

#include "artifact/placement/unit_stream.h"
#include "kernels/backend.h"
#include "model/config/model_config.h"
#include "model/forward/kv_cache.h"
#include "model/forward/rows.h"
#include "model/weights/weights.h"
#include "parallel/communicator.h"
#include "parallel/shard.h"

namespace dray::model {

// What a forward pass computes, and with what.
struct ForwardParts {
  const ModelConfig& config;  // of the whole model
  const StackConfig& stack;   // what this rank computes of config.stack (config/local_stack.h)
  const Weights& weights;     // of this rank
  kernels::Backend& backend;
  // Connects this rank with the others. Null: this rank computes the whole model.
  parallel::Communicator* communicator = nullptr;
  parallel::Stage stage = {};  // whose layers `stack` has
  // Has the layers' weights in memory while they are computed. Null: they always are.
  artifact::UnitStream* stream = nullptr;
  // Has the token table, if `weights` has none.
  const Weights* tables = nullptr;
};

// What the layers read of a step, beside the residual stream. All arrays are the device's.
struct StackRows {
  int64_t num_tokens = 0;
  const int32_t* slots = nullptr;      // [num_tokens], in the cache
  const float* cos_sin = nullptr;      // [num_tokens, rope.dim]; null: no rotation
  const int32_t* rope_rows = nullptr;  // [num_tokens]: rows of cos_sin
  const kernels::AttentionSequence* sequences = nullptr;  // [num_sequences]
  int64_t num_sequences = 0;
  const int32_t* block_tables = nullptr;
  // [num_sequences]: the rows of each sequence over the part of its cache that has the keys and values
  // of the encoder's states. Null if the layers have no cross-attention.
  const kernels::AttentionSequence* cross_sequences = nullptr;
};

class LayerStack {
 public:
  // Allocates all working memory, for steps of at most `max_tokens` tokens. What `parts` names must
  // outlive the stack.
  static Result<std::unique_ptr<LayerStack>> Make(const ForwardParts& parts, int64_t max_tokens);

  // Computes all layers and writes keys and values of the rows into the cache. An error that the
  // backend finds later is returned by its EndStep. An error of the communicator has ended the group.
  Status Run(const StackRows& rows, const KvCache& cache);

  // The residual stream, [max_tokens, hidden]: the caller fills it, and Run replaces it.
  const Tensor& x() const { return x_; }

 private:
  explicit LayerStack(const ForwardParts& parts);
  Status Allocate(const ForwardParts& parts, int64_t max_tokens);
  Status AllocateAlibi();
  Status AllocateRelativeBias(const ForwardParts& parts);
  Status Layer(int64_t layer, const KvCache& cache);
  // Writes the attention's output, before its projection, into attention_. `norm` is of x_, null
  // for none.
  void AttentionCore(int64_t layer, const kernels::VectorNorm* norm, const KvCache& cache);
  void AddAttentionOut(int64_t layer);
  // Adds what the layer reads of the encoder's states. Nothing if it has no cross-attention.
  Status AddCrossAttention(int64_t layer, const KvCache& cache);
  // The arguments of attention with the queries in qkv_, into attention_, without what differs between
  // the attention to the sequence itself and that to the encoder's states.
  kernels::AttentionArgs Attention(int64_t layer, const KvCache& cache) const;
  void FeedForwardIn(int64_t layer, const kernels::VectorNorm* norm);
  void AddFeedForwardOut(int64_t layer);
  // Adds the product to x_, or to this rank's part of the next sum.
  void AddProjection(const kernels::LinearArgs& projection);
  // Adds the parts of all ranks to x_. Without other ranks there is nothing left to add.
  Status AddParts();
  // x_ becomes its norm.
  void NormInPlace(const kernels::VectorNorm& norm);
  kernels::VectorNorm NormOf(Slot weight, Slot bias, int64_t layer) const;
  // Arguments of a layer's projection of this step's rows of `in`.
  kernels::LinearArgs Projection(Slot weight, Slot bias, int64_t layer, const Tensor& in) const;

  const StackConfig& config_;
  const StackWeights& weights_;
  kernels::Memory& memory_;
  kernels::Ops& ops_;
  parallel::Communicator* communicator_;  // may be null
  artifact::UnitStream* stream_;          // may be null
  const size_t stream_user_;

  Tensor x_;          // [max_tokens, hidden]
  Tensor qkv_;        // [max_tokens, qkv_width]; the queries of cross-attention are here, too
  Tensor attention_;  // [max_tokens, query_width]
  Tensor ffn_;        // [max_tokens, ffn]
  Tensor alibi_;      // [num_heads]
  kernels::RelativeBias relative_bias_;
  Tensor relative_bias_values_;

  StackRows rows_;  // of the step
  // How the next projection is written to this rank's part: the first of a sum replaces what is
  // there, the others add to it.
  kernels::WriteMode part_mode_ = kernels::WriteMode::kOverwrite;
};

// The norm of these weights, in `stack` and on the layer `layer`.
kernels::VectorNorm MakeNorm(const StackConfig& config, const StackWeights& weights, Slot weight,
                             Slot bias, int64_t layer);

}  // namespace dray::model
