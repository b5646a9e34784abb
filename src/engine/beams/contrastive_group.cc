#include "engine/beams/contrastive_group.h"

#include "engine/sequence.h"

namespace dray::engine {

Result<std::span<const scheduler::BeamMove>> ContrastiveGroup::Advance(Request& request,
                                                                       RequestTable& requests) {
  DRAY_RETURN_IF_ERROR(search_.Advance());
  int32_t parent = 0;
  if (const auto& choice = search_.choice()) {
    parent = static_cast<int32_t>(choice->candidate);
    request.sink->OnEvent(
        TokenEvent{.token = choice->token, .tops = {choice->tops.begin(), choice->tops.end()}});
    if (choice->end) {
      request.sink->OnEvent(SequenceEndEvent{.reason = *choice->end});
      return std::span<const scheduler::BeamMove>();
    }
  }
  moves_.clear();
  for (const auto& candidate : search_.candidates()) {
    moves_.push_back({.parent = parent, .token_id = candidate.token.id});
  }
  return Follow(moves_, request, requests);
}

}  // namespace dray::engine
