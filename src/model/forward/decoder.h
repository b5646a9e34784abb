// The one forward pass of every decoder family. A step is a ragged batch: for each sequence a
// range of tokens to compute, whether they are a prompt, a piece of one, or the one token of
// a decode step.
//
// One rank of a tensor-parallel group computes with its own heads, features and rows of the
// vocabulary (docs/ranks.md). All ranks compute the same steps with the same residual stream: the
// group adds the ranks' parts wherever a matrix that is divided by its columns, or the token table,
// writes to the stream. So all ranks call Forward and Logits in the same order with the same
// arguments.
#pragma once

#include <cstdint>
#include <memory>
#include <span>
#include <vector>

#include "kernels/backend.h"
#include "model/forward/kv_cache.h"
#include "model/forward/layer_stack.h"
#include "model/forward/token_embedding.h"

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
//
// The cache of an encoder-decoder's sequence begins with the keys and values of its source
// (source_encoder.h): AttentionSequence::first_token is the number of the source's tokens, which must
// be there already, and positions are counted behind them.
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

// Where the results of rows go, in host memory. At all ranks of a group but the first, both are empty.
struct RowResults {
  std::span<float> logits;       // [rows, vocab]; of an encoder [rows, labels], empty if not wanted
  std::span<float> states = {};  // [rows, embed_dim]: what the head multiplies; empty if not wanted
};

class Decoder {
 public:
  // Allocates all working memory; Forward and Logits allocate none. What `parts` names must outlive
  // the decoder. kUnsupported if the model has no decoder.
  static Result<std::unique_ptr<Decoder>> Make(const ForwardParts& parts,
                                               const DecoderLimits& limits);
  // The most numbers that a rank of `world` gives to its communicator in one call. The model may be an
  // encoder.
  static int64_t MaxCount(const ModelConfig& config, const DecoderLimits& limits, int64_t world);

  // Computes the batch and writes its keys and values into the cache. An error that the backend
  // finds later is returned by Logits or by the backend's EndStep. An error of the communicator has
  // ended the group.
  Status Forward(const RaggedBatch& batch, const KvCache& cache);
  // Logits of some rows of the last Forward, at most max_logit_rows, and their states if `out` has room
  // for them.
  Status Logits(std::span<const int32_t> rows, RowResults out);
  // The residual stream of `num_tokens` rows, in the backend's memory: [num_tokens, hidden]. Every
  // stage but the first reads it in Forward; Forward leaves what the next stage reads.
  std::span<float> Stream(int64_t num_tokens) const {
    return {stack_->x().as<float>(), static_cast<size_t>(num_tokens * config_.hidden)};
  }

 private:
  // Device arrays of one step, uploaded together.
  struct Indices {
    int32_t* slots = nullptr;
    int32_t* rope_rows = nullptr;
    int32_t* block_tables = nullptr;
    int32_t* logit_rows = nullptr;
    kernels::AttentionSequence* sequences = nullptr;
    kernels::AttentionSequence* cross_sequences = nullptr;
  };

  Decoder(const ForwardParts& parts, const DecoderLimits& limits);
  Status Allocate(const ForwardParts& parts);
  Status AllocateHead();
  // Makes the final norm's weight times the head's scale.
  Status ScaleFinalNorm();
  Status AllocateIndices();
  Status Upload(const RaggedBatch& batch);
  Status UploadRope(const RaggedBatch& batch);
  Status UploadCrossSequences(const RaggedBatch& batch);
  // Multiplies `count` rows of head_in_ by this rank's rows of the head.
  void ComputeHead(int64_t count);
  // Copies what ComputeHead has multiplied.
  Status CopyStates(int64_t count, std::span<float> out);
  // Puts the logits of all ranks together, without the padding of the vocabulary.
  Status GatherLogits(int64_t count, std::span<float> out);

  const ModelConfig& model_config_;
  const StackConfig& config_;  // this rank's part of the one stack
  const Weights& weights_;
  kernels::Memory& memory_;
  kernels::Ops& ops_;
  parallel::Communicator* communicator_;  // may be null
  parallel::Rank rank_;
  parallel::Stage stage_;
  int64_t vocab_rows_;  // of the head at each rank, padding included
  DecoderLimits limits_;

  Indices indices_;
  Tensor index_memory_;
  std::unique_ptr<TokenEmbedding> embedding_;  // null at every stage but the first
  std::unique_ptr<LayerStack> stack_;
  Tensor cos_sin_;      // [max_batch_tokens, rope.dim]
  Tensor head_in_;      // [max_logit_rows, hidden], before the final norm
  Tensor scaled_norm_;  // [hidden], only if the head has a scale
  Tensor projected_;    // [max_logit_rows, embed_dim], only with a projection out
  Tensor logits_;       // [max_logit_rows, vocab_rows_]
  Tensor gathered_;     // [world, max_logit_rows * vocab_rows_], only at rank 0 of several

  std::vector<float> inverse_frequencies_;
  std::vector<float> host_cos_sin_;
  std::vector<int32_t> rope_rows_;
  std::vector<kernels::AttentionSequence> cross_sequences_;  // for uploads
  int64_t num_tokens_ = 0;
  int64_t num_sequences_ = 0;
};

}  // namespace dray::model
