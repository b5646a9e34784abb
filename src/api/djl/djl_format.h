// Answers as DJLServing's text-generation handler writes them.
#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "api/generate_call.h"
#include "base/parse/json.h"
#include "serving/text_events.h"

namespace dray::api {

// What came of one sequence.
struct SequenceResult {
  std::string text;
  // Kept only where the answer shows them.
  std::vector<serving::TextToken> tokens;
  int64_t num_tokens = 0;
  double sum_logprobs = 0;
  std::optional<sampling::FinishReason> finish;
};

// What came of one input.
struct InputResult {
  std::string input;
  std::vector<serving::TextToken> prompt;
  std::vector<SequenceResult> sequences;
  // The one that was sampled with.
  std::optional<uint64_t> seed;
};

// {"generated_text": ..., "details": ...?}: an input's whole answer.
Json FormatResult(const InputResult& result, const GenerateCall& call);
// {"token": {...}}: one token of a stream; the last one with "generated_text" and, if
// asked for, "details".
Json FormatToken(const serving::TextToken& token);
Json FormatLastToken(const serving::TextToken& token, const InputResult& result,
                     const GenerateCall& call);
// The last line of a stream that broke off.
Json FormatStreamError(int code, std::string_view message, const InputResult& result,
                       const GenerateCall& call);

// The line as it goes out: with a line feed, or as a server-sent event.
std::string FrameLine(const Json& line, serving::OutputFormat format);
std::string_view ContentType(serving::OutputFormat format);

}  // namespace dray::api
