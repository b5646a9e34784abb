#include "sampling/beams/beam_ranking.h"

#include <algorithm>
#include <limits>

namespace dray::sampling {

int64_t BeamRanking::num_candidates_of_beam(int64_t vocab_size) const {
  const auto num_ends = static_cast<int64_t>(spec_.end_tokens.size());
  return std::min(std::max<int64_t>(2, 1 + num_ends), vocab_size);
}

bool BeamRanking::NeedsWholeRows(int64_t vocab_size) const {
  return !ChoosesByHeap(static_cast<size_t>(num_candidates(vocab_size)),
                        static_cast<size_t>(spec_.num_beams * vocab_size));
}

bool BeamRanking::IsEnd(int32_t token_id) const {
  const auto& ends = spec_.end_tokens;
  return std::find(ends.begin(), ends.end(), token_id) != ends.end();
}

void BeamRanking::Gather(const BeamRow& row, int32_t beam, float beam_score) {
  for (const Continuation& continuation : row.continuations) {
    const float score = continuation.score + beam_score;
    ranked_.push_back({score + continuation.noise, static_cast<int32_t>(gathered_.size())});
    gathered_.push_back({.beam = beam, .continuation = &continuation, .score = score});
  }
}

void BeamRanking::GatherSiblings(const BeamRow& row, int32_t beam, float beam_score,
                                 int64_t vocab_size) {
  siblings_.clear();
  for (const Continuation& continuation : row.continuations) {
    siblings_.push_back({continuation.score, static_cast<int32_t>(siblings_.size())});
  }
  const size_t count = std::min(siblings_.size(), static_cast<size_t>(num_candidates(vocab_size)));
  TakeTop(siblings_, count, static_cast<size_t>(vocab_size));
  for (size_t rank = 0; rank < count; ++rank) {
    const Continuation& continuation =
        row.continuations[static_cast<size_t>(siblings_[rank].index)];
    const float score =
        continuation.score + beam_score + spec_.sibling_rate * static_cast<float>(rank);
    ranked_.push_back({score, static_cast<int32_t>(gathered_.size())});
    gathered_.push_back({.beam = beam, .continuation = &continuation, .score = score});
  }
}

std::span<const BeamCandidate> BeamRanking::Rank(std::span<const BeamRow> rows,
                                                 std::span<const float> beam_scores,
                                                 int64_t vocab_size) {
  gathered_.clear();
  ranked_.clear();
  candidates_.clear();
  size_t num_scores = beam_scores.size() * static_cast<size_t>(vocab_size);
  for (int32_t beam = 0; beam < spec_.num_beams; ++beam) {
    const float score = beam_scores[static_cast<size_t>(beam)];
    if (spec_.sibling_rate == 0) {
      Gather(RowOfBeam(rows, beam), beam, score);
    } else {
      GatherSiblings(RowOfBeam(rows, beam), beam, score, vocab_size);
    }
  }
  if (spec_.sibling_rate != 0 || spec_.draws) num_scores = ranked_.size();
  const auto count = static_cast<size_t>(num_candidates(vocab_size));
  TakeTop(ranked_, count, num_scores);
  if (ranked_[0].score == -std::numeric_limits<float>::infinity()) return {};
  for (size_t i = 0; i < count; ++i) {
    BeamCandidate candidate = gathered_[static_cast<size_t>(ranked_[i].index)];
    candidate.ends = IsEnd(candidate.continuation->token_id);
    candidates_.push_back(candidate);
  }
  return candidates_;
}

}  // namespace dray::sampling
