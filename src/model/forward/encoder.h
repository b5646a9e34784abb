// The forward pass of encoders. A pass computes whole texts, one behind the other without padding,
// and every token attends to all tokens of its text. Keys and values lie in one layer of working
// memory that all layers use in turn, since no later pass reads them.
//
// The ranks of a tensor-parallel group and the stages of a pipeline compute as those of a decoder do
// (decoder.h). At stages before the last one, the encoder has no states, only the stream for the next
// stage.
#pragma once

#include <cstdint>
#include <memory>
#include <span>
#include <vector>

#include "model/forward/layer_stack.h"
#include "model/forward/token_embedding.h"

namespace dray::model {

struct EncoderLimits {
  int64_t max_batch_tokens = 0;
  int64_t max_texts = 0;
  DType kv_dtype = DType::kF32;  // of keys and values: f32, f16, bf16 or i8
};

// The texts of one pass, in host memory.
struct EncoderBatch {
  std::vector<int32_t> ids;      // [num_tokens], text by text
  std::vector<int32_t> types;    // [num_tokens]; not read if the model has no token types
  std::vector<int32_t> lengths;  // [num_texts]: the tokens of each, at least one

  void Clear();
  // Room for every pass within the limits, so that none allocates.
  void Reserve(const EncoderLimits& limits);
};

class Encoder {
 public:
  // Allocates all working memory; the other functions allocate none. What `parts` names must outlive
  // the encoder. kUnsupported if the model is no encoder.
  static Result<std::unique_ptr<Encoder>> Make(const ForwardParts& parts,
                                               const EncoderLimits& limits);

  // Computes the texts. An error that the backend finds later is returned by the functions below or
  // by the backend's EndStep. An error of the communicator has ended the group.
  Status Forward(const EncoderBatch& batch);
  // The states of the tokens of the last Forward, after the final norm if there is one:
  // [num_tokens, hidden] into host memory.
  Status States(std::span<float> out);
  // The states of some of these tokens: [rows, hidden] into host memory.
  Status States(std::span<const int32_t> rows, std::span<float> out);
  // The states of all tokens in the backend's memory: [max_batch_tokens, hidden].
  const Tensor& states() const { return stack_->x(); }
  // The residual stream of `num_tokens` tokens, in the backend's memory: [num_tokens, hidden]. Every
  // stage but the first reads it in Forward; Forward leaves what the next stage reads, and at the last
  // stage the states.
  std::span<float> Stream(int64_t num_tokens) const {
    return {stack_->x().as<float>(), static_cast<size_t>(num_tokens * config_.hidden)};
  }
  // What the classifier, which the model must have, makes of some tokens of the last Forward. Those of a
  // text's first token are the text's: one number for each class, before they become probabilities:
  // [rows, num_labels] into host memory.
  Status ClassOutputs(std::span<const int32_t> rows, std::span<float> out);

 private:
  Encoder(const ForwardParts& parts, const EncoderLimits& limits);
  Status Allocate(const ForwardParts& parts);
  Status AllocateClassifier();
  Status ClassifySome(std::span<const int32_t> rows, std::span<float> out);
  Status Upload(const EncoderBatch& batch);
  // Adds a text's tokens to the arrays of the pass.
  void AddText(std::span<const int32_t> ids, int64_t first_block);

  const ModelConfig& model_config_;
  const StackConfig& config_;
  const Weights& weights_;
  kernels::Backend& backend_;
  kernels::Memory& memory_;
  EncoderLimits limits_;
  parallel::Stage stage_;
  int64_t num_blocks_;

  std::unique_ptr<TokenEmbedding> embedding_;  // null at every stage but the first
  std::unique_ptr<LayerStack> stack_;
  KvCache cache_;
  // Device arrays.
  Tensor index_memory_;
  kernels::AttentionSequence* device_sequences_ = nullptr;  // [max_texts]
  int32_t* device_slots_ = nullptr;                         // [max_batch_tokens]
  int32_t* class_rows_ = nullptr;                           // [max_texts]
  int32_t* blocks_ = nullptr;  // [num_blocks]: 0, 1, ...; a text's table is a part of it
  // The classifier's, which computes so many rows at once.
  Tensor head_in_;        // [max_texts, hidden]
  Tensor dense_;          // [max_texts, hidden]
  Tensor class_outputs_;  // [max_texts, num_labels]

  // Host arrays of a pass.
  std::vector<int32_t> positions_, slots_;
  std::vector<kernels::AttentionSequence> sequences_;
};

}  // namespace dray::model
