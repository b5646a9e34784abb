// What comes of a call, whatever dialect it is answered in.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

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
  std::optional<float> beam_score;  // of beam search, once it has ended
};

// What came of one input.
struct InputResult {
  std::string input;
  int64_t num_prompt_tokens = 0;  // known from the first token on
  std::vector<serving::TextToken> prompt;
  // One at first; more as they come.
  std::vector<SequenceResult> sequences{1};
  // The one that was sampled with.
  std::optional<uint64_t> seed;
};

// The input's sequences, likeliest first; equals stay in order. Those of beam search are in the order
// of the search.
std::vector<const SequenceResult*> RankSequences(const InputResult& result);

}  // namespace dray::api
