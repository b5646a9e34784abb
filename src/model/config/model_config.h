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
  kDecoder,  // the text that follows it
  kEncoder,  // a vector for each of its tokens
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

}  // namespace dray::model
