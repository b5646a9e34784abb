// What the engine remembers of a request and of each of its sequences. Internal to this folder.
#pragma once

#include <cstdint>
#include <memory>
#include <vector>

#include "base/ids.h"
#include "engine/engine.h"
#include "engine/speculation/draft_policy.h"
#include "sampling/params.h"
#include "sampling/sampler.h"

namespace dray::engine {

struct Request {
  RequestId id;
  sampling::SamplingParams params;
  std::shared_ptr<EventSink> sink;
  PromptEvent prompt_scores;
  int64_t num_prompt_tokens = 0;
  int64_t num_open_sequences = 0;
  std::vector<SequenceId> sequences;

  int64_t num_prompt_scores() const { return static_cast<int64_t>(prompt_scores.logprobs.size()); }
};

// Of a sequence's own draft cache: nothing yet, or lost.
inline constexpr int64_t kNoneComputed = -1;

// What speculation (drafter.h) keeps of a sequence.
struct DraftState {
  // Guesses of the tokens that follow the known ones, for the step at hand.
  std::vector<int32_t> tokens;
  int kind = 0;
  DraftRecord record;
  // Tokens that a draft model has computed.
  int64_t num_computed = kNoneComputed;
};

struct Sequence {
  SequenceId id;
  Request* request = nullptr;
  int sequence_idx = 0;
  int64_t num_prompt_tokens = 0;
  std::vector<int32_t> tokens;  // prompt, then generated
  std::unique_ptr<sampling::Sampler> sampler;
  DraftState draft;
};

}  // namespace dray::engine
