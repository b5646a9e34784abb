#include "sampling/beams/plain_beam_search.h"

#include <algorithm>
#include <cmath>
#include <limits>
#include <utility>

#include "base/check.h"

namespace dray::sampling {

PlainBeamSearch::PlainBeamSearch(const BeamSearchSpec& spec) : BeamSearch(spec) {
  const auto num_beams = static_cast<size_t>(spec_.num_beams);
  // At first all beams are the same, so only one of them may be continued.
  beam_scores_.assign(num_beams, kExcludedScore);
  beam_scores_[0] = 0;
  beam_nodes_.assign(num_beams, TokenTree::kRoot);
  places_.assign(num_beams, {.score = kExcludedScore});
}

float PlainBeamSearch::Penalize(float score, int64_t length) const {
  return score / static_cast<float>(std::pow(static_cast<double>(length), spec_.length_penalty));
}

bool PlainBeamSearch::Ends(const BeamCandidate& candidate) const {
  return candidate.ends || num_steps_ >= spec_.max_new_tokens;
}

bool PlainBeamSearch::AllFinished() const {
  return std::all_of(places_.begin(), places_.end(),
                     [](const Place& place) { return place.finished; });
}

bool PlainBeamSearch::Advance(int64_t group, std::span<const BeamRow> rows, int64_t vocab_size) {
  DRAY_CHECK(group == 0 && !done_ && (rows.size() == beam_scores_.size() || num_steps_ == 0));
  candidates_ = ranking_.Rank(rows, beam_scores_, vocab_size);
  if (candidates_.empty()) return false;
  ++num_steps_;
  ChooseBeams(rows);
  ChooseFinished(rows);
  DecideEnd();
  return true;
}

// Fills moves_, next_nodes_ and next_scores_. The nodes and scores before the step are still needed.
void PlainBeamSearch::ChooseBeams(std::span<const BeamRow> rows) {
  ranked_.clear();
  for (const BeamCandidate& candidate : candidates_) {
    ranked_.push_back({candidate.score + (Ends(candidate) ? kExcludedScore : 0.0F),
                       static_cast<int32_t>(ranked_.size())});
  }
  const auto num_beams = static_cast<size_t>(spec_.num_beams);
  TakeTop(ranked_, num_beams, ranked_.size());
  next_nodes_.clear();
  next_scores_.clear();
  for (size_t i = 0; i < num_beams; ++i) {
    const BeamCandidate& candidate = candidates_[static_cast<size_t>(ranked_[i].index)];
    moves_[i] = {.parent = candidate.beam, .token_id = candidate.continuation->token_id};
    next_nodes_.push_back(
        AddNode(candidate, beam_nodes_[static_cast<size_t>(candidate.beam)], rows));
    next_scores_.push_back(ranked_[i].score);
  }
}

void PlainBeamSearch::ChooseFinished(std::span<const BeamRow> rows) {
  const auto num_beams = static_cast<size_t>(spec_.num_beams);
  const bool is_closed = AllFinished() && spec_.early_stopping == EarlyStopping::kYes;
  ranked_.clear();
  for (const Place& place : places_) {
    ranked_.push_back({place.score, static_cast<int32_t>(ranked_.size())});
  }
  for (size_t i = 0; i < candidates_.size(); ++i) {
    float score = Penalize(candidates_[i].score, num_steps_);
    if (is_closed) score += kExcludedScore;
    if (!can_improve_) score += kExcludedScore;
    if (!Ends(candidates_[i]) || i >= num_beams) score += kExcludedScore;
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
    const BeamCandidate& candidate = candidates_[index - num_beams];
    Place& place = next_places_.emplace_back();
    place.score = ranked_[i].score;
    place.finished = Ends(candidate) && index - num_beams < num_beams;
    if (!place.finished) continue;
    place.node = AddNode(candidate, beam_nodes_[static_cast<size_t>(candidate.beam)], rows);
  }
  std::swap(places_, next_places_);
  std::swap(beam_nodes_, next_nodes_);
  std::swap(beam_scores_, next_scores_);
}

void PlainBeamSearch::DecideEnd() {
  const bool all_end =
      std::all_of(candidates_.begin(), candidates_.end(),
                  [this](const BeamCandidate& candidate) { return Ends(candidate); });
  const bool longest = spec_.early_stopping == EarlyStopping::kNever && spec_.length_penalty > 0;
  const float best = Penalize(beam_scores_[0], longest ? spec_.max_new_tokens : num_steps_);
  float worst = std::numeric_limits<float>::infinity();
  for (const Place& place : places_) worst = std::min(worst, place.score);
  can_improve_ = can_improve_ && std::any_of(places_.begin(), places_.end(), [&](const Place& p) {
                   return best > (p.finished ? worst : kExcludedScore);
                 });
  done_ =
      !can_improve_ || all_end || (AllFinished() && spec_.early_stopping == EarlyStopping::kYes);
}

std::vector<Hypothesis> PlainBeamSearch::Best(int64_t count) const {
  std::vector<Hypothesis> best;
  for (int64_t i = 0; i < count; ++i) {
    const Place& place = places_[static_cast<size_t>(i)];
    best.push_back({.score = place.score, .tokens = tree_.PathTo(place.node)});
  }
  return best;
}

}  // namespace dray::sampling
