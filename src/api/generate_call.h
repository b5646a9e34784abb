// The JSON of a generation request as checked types. One row for each parameter; ranges are checked
// by sampling::Validate, lengths by serving::Model, counts and kinds here.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/parse/json.h"
#include "base/status.h"
#include "serving/model.h"
#include "serving/text_events.h"

namespace dray::api {

inline constexpr size_t kMaxInputs = 64;
inline constexpr size_t kMaxJsonDepth = 100;

// How the prompts came, which is how the answers go: an object, or an array of objects.
enum class InputShape { kOne, kList };

struct GenerateCall {
  // At least one, none of them empty.
  std::vector<std::string> inputs;
  InputShape shape = InputShape::kOne;
  // What each input asks for; without its text.
  serving::TextRequest request;

  // Absent: what the model does by default.
  std::optional<bool> stream;
  std::optional<serving::OutputFormat> output_format;
  bool details = false;
  bool return_full_text = false;
  bool decoder_input_details = false;
  int64_t top_n_tokens = 0;
  // Of the params.n sequences, how many are answered with, likeliest first.
  int64_t num_returned = 1;
};

// The body {"inputs": ..., "parameters": {...}, "stream": ...}. kInvalidArgument names the field.
Result<GenerateCall> ParseGenerateCall(std::string_view json);
// A body of plain text: one input, in a list of its own, with default parameters.
Result<GenerateCall> MakeTextCall(std::string text);

// Of every parameter, in the table's order.
std::vector<std::string_view> ParameterNames();

// A message of sampling::Validate with its parameters under the names that requests give them.
std::string WithRequestNames(std::string message);

}  // namespace dray::api
