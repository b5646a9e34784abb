// A request to an encoder, and the answer to it.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <variant>
#include <vector>

#include "engine/encoder/encode_request.h"
#include "serving/reasons.h"

namespace dray::serving {

// A text, or a pair of texts that the model reads together.
struct InputText {
  std::string text;
  std::optional<std::string> second = std::nullopt;
};
// A text that is tokenized already, special tokens included.
using InputTokens = std::vector<int32_t>;
using EncodeInput = std::variant<InputText, InputTokens>;

// What happens to a text with more tokens than the model takes.
enum class TooLong { kRefuse, kTruncate };

struct EncodeCall {
  std::vector<EncodeInput> inputs;  // at least one
  engine::EncodeOutput output = engine::EncodeOutput::kVector;
  TooLong too_long = TooLong::kTruncate;
};

struct EncodeAnswer {
  // [input]: its vector; or [tokens, hidden] states; or a number for each class.
  std::vector<std::vector<float>> numbers;
  std::vector<int64_t> num_tokens;  // [input], special tokens included

  int64_t total_tokens() const {
    int64_t total = 0;
    for (const int64_t count : num_tokens) total += count;
    return total;
  }
};

// Receives the answer to one request.
class EncodeReceiver {
 public:
  virtual ~EncodeReceiver() = default;
  // Called exactly once for each accepted request, on the engine's thread; must return quickly.
  virtual void OnAnswer(OrReason<EncodeAnswer> answer) = 0;
  // Whether nobody waits for the answer any more. Asked, on the caller's thread, while texts are
  // tokenized.
  virtual bool cancelled() const { return false; }
};

}  // namespace dray::serving
