// The candidates of one request's contrastive search.
#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <vector>

#include "base/status.h"
#include "engine/beams/sequence_group.h"
#include "sampling/contrastive/contrastive_search.h"

namespace dray::engine {

// A token's event comes as soon as it is chosen, which is a step after it was computed.
class ContrastiveGroup final : public SequenceGroup {
 public:
  explicit ContrastiveGroup(const sampling::ContrastiveSpec& spec) : search_(spec) {}

  int64_t num_members() const override {
    return sampling::NumContrastiveCandidates(search_.params());
  }
  // The last token is computed too, before it is chosen.
  int64_t max_new_tokens() const override { return search_.params().max_new_tokens + 1; }
  std::optional<int64_t> num_context_states() const override { return search_.num_context(); }
  void TakeContextState(std::span<const float> state) override { search_.TakeContext(state); }
  Status Take(int64_t member, const TokenRow& row, sampling::SamplingWorkspace&) override {
    return search_.Take(member, row.logits, row.state);
  }
  bool ready() const override { return search_.ready(); }
  Result<std::span<const scheduler::BeamMove>> Advance(Request& request,
                                                       RequestTable& requests) override;

 private:
  sampling::ContrastiveSearch search_;
  std::vector<Move> moves_;  // used again from step to step
};

}  // namespace dray::engine
