// Sequences of one request that get their next tokens together: the beams of beam search, or the
// candidates of contrastive search. A member's index is its Sequence::sequence_idx. Before the first
// choice of tokens there is one member, which computes the prompt.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <vector>

#include "base/ids.h"
#include "base/status.h"
#include "engine/engine.h"
#include "sampling/candidates.h"
#include "scheduler/plan.h"

namespace dray::engine {

class RequestTable;
struct Request;
struct Sequence;

// What a step gives for one token.
struct TokenRow {
  std::span<float> logits;       // [vocab]; may be overwritten
  std::span<const float> state;  // what the head multiplies; empty unless the group needs it
};

class SequenceGroup {
 public:
  virtual ~SequenceGroup() = default;

  virtual int64_t num_members() const = 0;
  // How many tokens of a member are computed behind the prompt at most, and one more.
  virtual int64_t max_new_tokens() const = 0;
  // Of a group that needs states: how many tokens of the prompt have given theirs. Groups that need none
  // return nothing.
  virtual std::optional<int64_t> num_context_states() const { return std::nullopt; }
  // Takes the state of the prompt's next token.
  virtual void TakeContextState(std::span<const float> /*state*/) {}

  // Takes the row of a member's last token. A row that was taken before is replaced. kInternal: the
  // largest logit is not finite.
  virtual Status Take(int64_t member, const TokenRow& row,
                      sampling::SamplingWorkspace& workspace) = 0;
  // Whether each member's row is taken.
  virtual bool ready() const = 0;
  // Chooses the next tokens, and sends the events of those that belong to the answer. If the request
  // goes on, gives each member its tokens, adds the members that are missing to `requests`, and returns
  // how the scheduler is to continue them. If it is over, the span is empty. It is valid until the next
  // call. kInvalidArgument: the parameters mask every token.
  virtual Result<std::span<const scheduler::BeamMove>> Advance(Request& request,
                                                               RequestTable& requests) = 0;

 protected:
  // A member becomes what member `parent` is now, followed by a token.
  struct Move {
    int32_t parent = 0;
    int32_t token_id = 0;
  };
  // Gives the members the tokens that `moves` ([member]) say. Returns what Advance does.
  std::span<const scheduler::BeamMove> Follow(std::span<const Move> moves, Request& request,
                                              RequestTable& requests);

 private:
  std::vector<SequenceId> sequences_;  // by member
  // Used again from step to step.
  std::vector<std::vector<int32_t>> new_tokens_;  // by member: what it takes over from its parent
  std::vector<scheduler::BeamMove> moves_;
};

// The group that the parameters of a request ask for; null if each of its sequences chooses for itself.
struct GroupSpec {
  const sampling::SamplingParams& params;       // as Validate accepted them
  std::span<const int32_t> eos_token_ids = {};  // the model's
  std::span<const int32_t> prompt = {};
};
std::unique_ptr<SequenceGroup> MakeSequenceGroup(const GroupSpec& spec);

}  // namespace dray::engine
