// The engine's state of a request and of each of its sequences. Internal to this folder.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <vector>

#include "base/ids.h"
#include "engine/beams/sequence_group.h"
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
  int64_t num_source_tokens = 0;  // the first tokens of the prompt, which an encoder reads
  bool started = false;           // a step has computed tokens of it
  // How many runners in a row have failed when this request was to advance (recovery/suspects.h).
  int64_t num_failures = 0;
  std::vector<SequenceId> open_sequences;
  std::unique_ptr<SequenceGroup> group;  // null if each sequence chooses for itself

  int64_t num_prompt_scores() const { return static_cast<int64_t>(prompt_scores.logprobs.size()); }
  // SequenceGroup::num_context_states, of the tokens behind the source; nothing without a group.
  std::optional<int64_t> num_context_states() const {
    return group == nullptr ? std::nullopt : group->num_context_states();
  }
};

// What speculation (speculation/drafter.h) keeps of a sequence.
struct SequenceDrafts {
  // Guesses of the tokens that follow the known ones, for the step at hand.
  std::vector<int32_t> tokens;
  int kind = 0;  // of the guesses: DraftOffer::kind
  DraftRecord record;
  // How many tokens have their keys and values in the draft model's cache. Unknown for a new
  // sequence, and for one that has lost its blocks.
  std::optional<int64_t> num_computed;
};

struct Sequence {
  SequenceId id;
  Request* request = nullptr;
  int sequence_idx = 0;  // of the samples, or of the group's members
  int64_t num_prompt_tokens = 0;
  std::vector<int32_t> tokens;  // prompt, then generated
  int64_t num_reached = 0;      // the most of them that were ever computed (recovery/suspects.h)
  std::unique_ptr<sampling::Sampler> sampler;  // null for a member of a group
  SequenceDrafts drafts;
};

}  // namespace dray::engine
