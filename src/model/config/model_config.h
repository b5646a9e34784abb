// What a model is: its vocabulary, the tables at both ends, and the stack of layers between them.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "model/config/stack_config.h"
#include "tensor/dtype.h"

namespace dray::model {

struct ModelConfig {
  std::string family;  // for people: "llama", "gpt_neox"
  int64_t vocab_size = 0;
  // Width of the token table. If it is not stack.hidden, the model has a projection at each end.
  int64_t embed_dim = 0;
  bool tied_head = false;  // the head is the token table
  bool head_bias = false;
  StackConfig stack;

  // The weights' format according to the configuration; the files may have another one.
  std::optional<DType> dtype;
  // Tokens that end a sequence. They are from generation_config.json, or else config.json, or else
  // the family's defaults.
  std::vector<int32_t> eos_token_ids;
  std::optional<int32_t> bos_token_id;

  bool operator==(const ModelConfig&) const = default;
};

}  // namespace dray::model
