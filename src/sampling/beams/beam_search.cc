#include "sampling/beams/beam_search.h"

#include <algorithm>
#include <utility>

#include "sampling/beams/group_beam_search.h"
#include "sampling/beams/plain_beam_search.h"

namespace dray::sampling {
namespace {

// Memory is reserved for so many steps; longer searches grow it by doubling.
constexpr int64_t kReservedSteps = 1024;

}  // namespace

BeamSearch::BeamSearch(BeamSearchSpec spec)
    : spec_(std::move(spec)),
      ranking_({.num_beams = group_size(),
                .end_tokens = spec_.end_tokens,
                .sibling_rate = static_cast<float>(spec_.sibling_rate),
                .draws = spec_.draws}) {
  tree_.Reserve(
      static_cast<size_t>(spec_.num_beams * std::min(spec_.max_new_tokens, kReservedSteps)));
  moves_.resize(static_cast<size_t>(spec_.num_beams));
}

int32_t BeamSearch::AddNode(const BeamCandidate& candidate, int32_t node,
                            std::span<const BeamRow> rows) {
  return tree_.Add(node, {candidate.continuation->token_id, candidate.continuation->logprob},
                   RowOfBeam(rows, candidate.beam).tops);
}

std::unique_ptr<BeamSearch> MakeBeamSearch(const BeamSearchSpec& spec) {
  const bool is_plain =
      spec.num_groups == 1 && spec.rules == BeamRules::kTransformers && spec.sibling_rate == 0;
  if (is_plain) return std::make_unique<PlainBeamSearch>(spec);
  return std::make_unique<GroupBeamSearch>(spec);
}

}  // namespace dray::sampling
