// What a model is: its vocabulary, the tables at both ends, and the stack of layers between them.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "base/status.h"
#include "model/config/stack_config.h"
#include "tensor/dtype.h"

namespace dray::model {

// What a model makes of a text.
enum class ModelKind : uint8_t {
  kDecoder,         // the text that follows it
  kEncoder,         // a vector for each of its tokens
  kEncoderDecoder,  // a text of its own, which answers it: an encoder reads, a decoder writes
};

// How the scores of a text's classes become probabilities.
enum class ClassScores : uint8_t {
  kSoftmax,  // a text has one class
  kSigmoid,  // a text has any number of classes
  kNone,     // the outputs of a regression are values as they are
};

// The classes that an encoder sorts texts into: activation(dense * first token + bias), then the
// scores of a second matrix.
struct ClassifierConfig {
  std::vector<std::string> labels;  // [class]: its name
  Activation activation = Activation::kTanh;
  ClassScores scores = ClassScores::kSoftmax;

  int64_t num_labels() const { return static_cast<int64_t>(labels.size()); }
  bool operator==(const ClassifierConfig&) const = default;
};

struct ModelConfig {
  std::string family;  // for people: "llama", "gpt_neox"
  int64_t vocab_size = 0;
  // Width of the token table. If it is not stack.hidden, the model has a projection at each end.
  int64_t embed_dim = 0;
  bool tied_head = false;  // the head is the token table
  bool head_bias = false;
  ModelKind kind = ModelKind::kDecoder;
  std::optional<ClassifierConfig> classifier;  // encoders only
  StackConfig stack;
  // Of an encoder-decoder: the layers that read the text; `stack` has those that write the answer.
  // Both have one width and one token table.
  std::optional<StackConfig> encoder;
  // Of an encoder-decoder: what stands before the answer's first token.
  int32_t decoder_start_token_id = 0;
  // Logits are multiplied by it. If it is not 1, there is a final norm with weights and without biases.
  float head_scale = 1.0f;
  // The longest context if nobody asks for another one; 0: stack.max_positions.
  int64_t usual_context_tokens = 0;

  // The weights' format according to the configuration; the files may have another one.
  std::optional<DType> dtype;
  // Tokens that end a sequence. They are from generation_config.json, or else config.json, or else
  // the family's defaults.
  std::vector<int32_t> eos_token_ids;
  std::optional<int32_t> bos_token_id;

  bool operator==(const ModelConfig&) const = default;
};

// kUnsupported, naming the family, if the model is of another kind.
Status CheckKind(const ModelConfig& config, ModelKind wanted);

// The encoder of an encoder-decoder as a model by itself, whose token table is that of `config`.
ModelConfig EncoderOf(const ModelConfig& config);

}  // namespace dray::model
