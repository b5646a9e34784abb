#include "engine/beams/beam_group.h"

#include "engine/sequence.h"

namespace dray::engine {

Result<std::span<const scheduler::BeamMove>> BeamGroup::Advance(Request& request,
                                                                RequestTable& requests) {
  DRAY_RETURN_IF_ERROR(sampler_.Advance());
  const sampling::BeamSearch& search = sampler_.search();
  if (search.done()) {
    Report(*request.sink);
    return std::span<const scheduler::BeamMove>();
  }
  moves_.clear();
  for (const auto& [parent, token_id] : search.moves()) moves_.push_back({parent, token_id});
  return Follow(moves_, request, requests);
}

void BeamGroup::Report(EventSink& sink) const {
  int sequence_idx = 0;
  for (const sampling::Hypothesis& hypothesis : sampler_.search().Best(sampler_.params().n)) {
    for (const sampling::TokenTree::Token& token : hypothesis.tokens) {
      sink.OnEvent(TokenEvent{.sequence_idx = sequence_idx,
                              .token = token.token,
                              .tops = {token.tops.begin(), token.tops.end()}});
    }
    sink.OnEvent(SequenceEndEvent{.sequence_idx = sequence_idx,
                                  .reason = sampler_.ReasonOf(hypothesis),
                                  .beam_score = hypothesis.score});
    ++sequence_idx;
  }
}

}  // namespace dray::engine
