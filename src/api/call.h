// A generation request as an API gives it: prompts, what each asks for, and what the answer shows.
// Every dialect fills it and answers from it.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "serving/text_events.h"
#include "settings/answers/output_format.h"

namespace dray::api {

// How the prompts came, which is how the answers go: an object, an array of objects, or an array of
// the texts alone.
enum class InputShape { kOne, kList, kTexts };

struct GenerateCall {
  // At least one, none of them empty.
  std::vector<std::string> inputs;
  InputShape shape = InputShape::kOne;
  // What each input asks for; without its text.
  serving::TextRequest request;

  // The adapter of the model that the request names; "": none.
  std::string adapter;

  // Absent: what the model does by default.
  std::optional<bool> stream;
  std::optional<settings::OutputFormat> output_format;
  std::optional<bool> details;  // absent: as the dialect does by default
  bool return_full_text = false;
  bool decoder_input_details = false;
  int64_t top_n_tokens = 0;
  // Of the params.n sequences, how many are answered with, likeliest first.
  int64_t num_returned = 1;
};

}  // namespace dray::api
