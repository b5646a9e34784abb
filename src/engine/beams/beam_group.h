// The beams of one request: sequences that get their next tokens together.
#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "base/ids.h"
#include "base/status.h"
#include "engine/engine.h"
#include "sampling/beams/beam_sampler.h"
#include "scheduler/plan.h"

namespace dray::engine {

class RequestTable;
struct Request;
struct Sequence;

class BeamGroup {
 public:
  explicit BeamGroup(const sampling::BeamSamplerSpec& spec) : sampler_(spec) {}

  // The sampler's functions of the same names. `sequence_idx` of a sequence is its beam.
  Status Take(int64_t beam, std::span<float> logits, sampling::SamplingWorkspace& workspace) {
    return sampler_.Take(beam, logits, workspace);
  }
  bool ready() const { return sampler_.ready(); }

  // Chooses the next tokens. If the search goes on, gives each beam its tokens, adds the beams that
  // are missing to `requests`, and returns how the scheduler is to continue them. If it is done, the
  // span is empty. It is valid until the next call. Fails as BeamSampler::Advance does.
  Result<std::span<const scheduler::BeamMove>> Advance(Request& request, RequestTable& requests);
  // Sends the events of the sequences that the request wants, each sequence whole, best first. Call
  // this when the search is done.
  void Report(EventSink& sink) const;

 private:
  sampling::BeamSampler sampler_;
  std::vector<SequenceId> sequences_;  // by beam; only the first one before the first step

  // Used again from step to step.
  std::vector<std::vector<int32_t>> new_tokens_;  // by beam: what it takes over from its parent
  std::vector<scheduler::BeamMove> moves_;
};

}  // namespace dray::engine
