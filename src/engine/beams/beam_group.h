// The beams of one request.
#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "base/status.h"
#include "engine/beams/sequence_group.h"
#include "sampling/beams/beam_sampler.h"

namespace dray::engine {

// The events come when the search is done, sequence by sequence, best first.
class BeamGroup final : public SequenceGroup {
 public:
  explicit BeamGroup(const sampling::BeamSamplerSpec& spec) : sampler_(spec) {}

  int64_t num_members() const override { return sampler_.params().num_beams; }
  int64_t max_new_tokens() const override { return sampler_.params().max_new_tokens; }
  Status Take(int64_t member, const TokenRow& row,
              sampling::SamplingWorkspace& workspace) override {
    return sampler_.Take(member, row.logits, workspace);
  }
  bool ready() const override { return sampler_.ready(); }
  Result<std::span<const scheduler::BeamMove>> Advance(Request& request,
                                                       RequestTable& requests) override;

 private:
  // Sends the events of the sequences that the request wants.
  void Report(EventSink& sink) const;

  sampling::BeamSampler sampler_;
  std::vector<Move> moves_;  // used again from step to step
};

}  // namespace dray::engine
