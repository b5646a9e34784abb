#include "sampling/beams/beam_search.h"

#include <algorithm>
#include <cmath>
#include <limits>
#include <utility>

#include "base/check.h"

namespace dray::sampling {
namespace {

// transformers' score of what must not be chosen.
constexpr float kExcluded = -1.0e9F;
// Memory is reserved for so many steps; longer searches grow it by doubling.
constexpr int64_t kReservedSteps = 1024;

const BeamRow& RowOf(std::span<const BeamRow> rows, int32_t beam) {
  return rows[rows.size() == 1 ? 0 : static_cast<size_t>(beam)];
}

}  // namespace

BeamSearch::BeamSearch(BeamSearchSpec spec) : spec_(std::move(spec)) {
  const auto num_beams = static_cast<size_t>(spec_.num_beams);
  // At first all beams are the same, so only one of them may be continued.
  beam_scores_.assign(num_beams, kExcluded);
  beam_scores_[0] = 0;
  beam_nodes_.assign(num_beams, -1);
  places_.assign(num_beams, {.score = kExcluded});
  nodes_.reserve(num_beams * static_cast<size_t>(std::min(spec_.max_new_tokens, kReservedSteps)));
}

int64_t BeamSearch::num_candidates(int64_t vocab_size) const {
  const auto num_ends = static_cast<int64_t>(spec_.end_tokens.size());
  return std::min(std::max<int64_t>(2, 1 + num_ends), vocab_size) * spec_.num_beams;
}

bool BeamSearch::NeedsWholeRows(int64_t vocab_size) const {
  return !ChoosesByHeap(static_cast<size_t>(num_candidates(vocab_size)),
                        static_cast<size_t>(spec_.num_beams * vocab_size));
}

float BeamSearch::Penalize(float score, int64_t length) const {
  return score / static_cast<float>(std::pow(static_cast<double>(length), spec_.length_penalty));
}

bool BeamSearch::Advance(std::span<const BeamRow> rows, int64_t vocab_size) {
  DRAY_CHECK(!done_ && (rows.size() == beam_scores_.size() || num_steps_ == 0));
  if (!TakeCandidates(rows, vocab_size)) return false;
  ++num_steps_;
  ChooseBeams(rows);
  ChooseFinished(rows);
  DecideEnd();
  return true;
}

bool BeamSearch::TakeCandidates(std::span<const BeamRow> rows, int64_t vocab_size) {
  gathered_.clear();
  ranked_.clear();
  for (int32_t beam = 0; beam < spec_.num_beams; ++beam) {
    for (const Continuation& continuation : RowOf(rows, beam).continuations) {
      const float score = continuation.score + beam_scores_[static_cast<size_t>(beam)];
      ranked_.push_back({score, static_cast<int32_t>(gathered_.size())});
      gathered_.push_back({.beam = beam, .continuation = &continuation, .score = score});
    }
  }
  const auto count = static_cast<size_t>(num_candidates(vocab_size));
  TakeTop(ranked_, count, static_cast<size_t>(spec_.num_beams * vocab_size));
  if (ranked_[0].score == -std::numeric_limits<float>::infinity()) return false;
  candidates_.clear();
  const bool is_last = num_steps_ + 1 >= spec_.max_new_tokens;
  for (size_t i = 0; i < count; ++i) {
    Candidate candidate = gathered_[static_cast<size_t>(ranked_[i].index)];
    candidate.ends =
        is_last || std::find(spec_.end_tokens.begin(), spec_.end_tokens.end(),
                             candidate.continuation->token_id) != spec_.end_tokens.end();
    candidates_.push_back(candidate);
  }
  return true;
}

int32_t BeamSearch::AddNode(const Candidate& candidate, std::span<const BeamRow> rows) {
  nodes_.push_back({.parent = beam_nodes_[static_cast<size_t>(candidate.beam)],
                    .token = {candidate.continuation->token_id, candidate.continuation->logprob},
                    .tops = RowOf(rows, candidate.beam).tops});
  return static_cast<int32_t>(nodes_.size()) - 1;
}

// Fills moves_, next_nodes_ and next_scores_. The nodes and scores before the step are still needed.
void BeamSearch::ChooseBeams(std::span<const BeamRow> rows) {
  ranked_.clear();
  for (const Candidate& candidate : candidates_) {
    ranked_.push_back({candidate.score + (candidate.ends ? kExcluded : 0.0F),
                       static_cast<int32_t>(ranked_.size())});
  }
  const auto num_beams = static_cast<size_t>(spec_.num_beams);
  TakeTop(ranked_, num_beams, ranked_.size());
  moves_.clear();
  next_nodes_.clear();
  next_scores_.clear();
  for (size_t i = 0; i < num_beams; ++i) {
    const Candidate& candidate = candidates_[static_cast<size_t>(ranked_[i].index)];
    moves_.push_back({.parent = candidate.beam, .token_id = candidate.continuation->token_id});
    next_nodes_.push_back(AddNode(candidate, rows));
    next_scores_.push_back(ranked_[i].score);
  }
}

void BeamSearch::ChooseFinished(std::span<const BeamRow> rows) {
  const auto num_beams = static_cast<size_t>(spec_.num_beams);
  const bool all_finished = std::all_of(places_.begin(), places_.end(),
                                        [](const Place& place) { return place.finished; });
  const bool is_closed = all_finished && spec_.early_stopping == EarlyStopping::kYes;
  ranked_.clear();
  for (const Place& place : places_) {
    ranked_.push_back({place.score, static_cast<int32_t>(ranked_.size())});
  }
  for (size_t i = 0; i < candidates_.size(); ++i) {
    float score = Penalize(candidates_[i].score, num_steps_);
    if (is_closed) score += kExcluded;
    if (!can_improve_) score += kExcluded;
    if (!candidates_[i].ends || i >= num_beams) score += kExcluded;
    ranked_.push_back({score, static_cast<int32_t>(ranked_.size())});
  }
  TakeTop(ranked_, num_beams, ranked_.size());
  next_places_.clear();
  for (size_t i = 0; i < num_beams; ++i) {
    const auto index = static_cast<size_t>(ranked_[i].index);
    if (index < num_beams) {
      next_places_.push_back(places_[index]);
      continue;
    }
    const Candidate& candidate = candidates_[index - num_beams];
    const bool finished = candidate.ends && index - num_beams < num_beams;
    next_places_.push_back({.score = ranked_[i].score,
                            .finished = finished,
                            .node = finished ? AddNode(candidate, rows) : -1});
  }
  std::swap(places_, next_places_);
  std::swap(beam_nodes_, next_nodes_);
  std::swap(beam_scores_, next_scores_);
}

void BeamSearch::DecideEnd() {
  const bool all_finished = std::all_of(places_.begin(), places_.end(),
                                        [](const Place& place) { return place.finished; });
  const bool all_end = std::all_of(candidates_.begin(), candidates_.end(),
                                   [](const Candidate& candidate) { return candidate.ends; });
  const bool longest = spec_.early_stopping == EarlyStopping::kNever && spec_.length_penalty > 0;
  const float best = Penalize(beam_scores_[0], longest ? spec_.max_new_tokens : num_steps_);
  float worst = std::numeric_limits<float>::infinity();
  for (const Place& place : places_) worst = std::min(worst, place.score);
  can_improve_ = can_improve_ && std::any_of(places_.begin(), places_.end(), [&](const Place& p) {
                   return best > (p.finished ? worst : kExcluded);
                 });
  done_ = !can_improve_ || all_end || (all_finished && spec_.early_stopping == EarlyStopping::kYes);
}

std::vector<Hypothesis> BeamSearch::Best(int64_t count) const {
  std::vector<Hypothesis> best;
  for (int64_t i = 0; i < count; ++i) {
    const Place& place = places_[static_cast<size_t>(i)];
    Hypothesis& hypothesis = best.emplace_back();
    hypothesis.score = place.score;
    for (int32_t node = place.node; node >= 0; node = nodes_[static_cast<size_t>(node)].parent) {
      const Node& one = nodes_[static_cast<size_t>(node)];
      hypothesis.tokens.push_back({.token = one.token, .tops = one.tops});
    }
    std::reverse(hypothesis.tokens.begin(), hypothesis.tokens.end());
  }
  return best;
}

}  // namespace dray::sampling
