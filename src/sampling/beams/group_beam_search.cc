#include "sampling/beams/group_beam_search.h"

#include <algorithm>
#include <cmath>
#include <utility>

#include "base/check.h"

namespace dray::sampling {

GroupBeamSearch::GroupBeamSearch(const BeamSearchSpec& spec) : BeamSearch(spec) {
  const auto size = static_cast<size_t>(group_size());
  // At first all beams of a group are the same, so only one of them may be continued.
  std::vector<float> scores(size, kExcludedScore);
  scores[0] = 0;
  groups_.assign(static_cast<size_t>(spec_.num_groups),
                 {.scores = scores,
                  .nodes = std::vector<int32_t>(size, TokenTree::kRoot),
                  .finished = HypothesisPool(size)});
}

double GroupBeamSearch::ScoreOf(float sum, int64_t length) const {
  if (spec_.rules == BeamRules::kFasterTransformer) length += spec_.num_prompt_tokens;
  return static_cast<double>(sum) / std::pow(static_cast<double>(length), spec_.length_penalty);
}

bool GroupBeamSearch::Advance(int64_t group, std::span<const BeamRow> rows, int64_t vocab_size) {
  DRAY_CHECK(!done_ && (static_cast<int64_t>(rows.size()) == group_size() || num_steps_ == 0));
  Group& own = groups_[static_cast<size_t>(group)];
  const auto first = static_cast<int32_t>(group * group_size());
  const auto moves =
      std::span(moves_).subspan(static_cast<size_t>(first), static_cast<size_t>(group_size()));
  if (own.done) {
    // The beams stay what they are. Later groups see the token, as in transformers.
    for (size_t i = 0; i < moves.size(); ++i) {
      moves[i] = {.parent = static_cast<int32_t>(i), .token_id = spec_.pad_token};
    }
  } else if (!Extend(own, rows, vocab_size, moves)) {
    return false;
  }
  for (Move& move : moves) move.parent += first;
  if (group + 1 < num_groups()) return true;
  ++num_steps_;
  done_ = num_steps_ >= spec_.max_new_tokens ||
          std::all_of(groups_.begin(), groups_.end(), [](const Group& g) { return g.done; });
  return true;
}

bool GroupBeamSearch::Extend(Group& group, std::span<const BeamRow> rows, int64_t vocab_size,
                             std::span<Move> moves) {
  const auto candidates = ranking_.Rank(rows, group.scores, vocab_size);
  next_nodes_.clear();
  next_scores_.clear();
  for (size_t i = 0; i < candidates.size() && next_nodes_.size() < moves.size(); ++i) {
    const BeamCandidate& candidate = candidates[i];
    if (candidate.ends && i >= moves.size()) continue;
    const int32_t node = AddNode(candidate, group.nodes[static_cast<size_t>(candidate.beam)], rows);
    if (candidate.ends) {
      group.finished.Add(ScoreOf(candidate.score, num_steps_ + 1), node);
      continue;
    }
    moves[next_nodes_.size()] = {.parent = candidate.beam,
                                 .token_id = candidate.continuation->token_id};
    next_nodes_.push_back(node);
    next_scores_.push_back(candidate.score);
  }
  if (next_nodes_.size() < moves.size()) return false;
  std::swap(group.nodes, next_nodes_);
  std::swap(group.scores, next_scores_);
  group.done = IsDone(group, candidates[0].score);
  return true;
}

bool GroupBeamSearch::IsDone(const Group& group, float best) const {
  if (!group.finished.full()) return false;
  if (spec_.early_stopping == EarlyStopping::kYes) return true;
  const bool longest = spec_.early_stopping == EarlyStopping::kNever && spec_.length_penalty > 0;
  return group.finished.worst() >= ScoreOf(best, longest ? spec_.max_new_tokens : num_steps_ + 1);
}

std::vector<Hypothesis> GroupBeamSearch::Best(int64_t count) const {
  std::vector<HypothesisPool::Entry> all;
  for (const Group& group : groups_) {
    HypothesisPool pool = group.finished;
    for (size_t i = 0; i < group.nodes.size() && !group.done; ++i) {
      pool.Add(ScoreOf(group.scores[i], num_steps_), group.nodes[i]);
    }
    all.insert(all.end(), pool.entries().begin(), pool.entries().end());
  }
  // transformers takes them from the end of a list in ascending order: of equal scores, the later
  // one is first.
  std::stable_sort(all.begin(), all.end(),
                   [](const auto& a, const auto& b) { return a.score < b.score; });
  std::reverse(all.begin(), all.end());
  DRAY_CHECK(all.size() >= static_cast<size_t>(count));
  std::vector<Hypothesis> best;
  for (int64_t i = 0; i < count; ++i) {
    const HypothesisPool::Entry& entry = all[static_cast<size_t>(i)];
    best.push_back({.score = static_cast<float>(entry.score), .tokens = tree_.PathTo(entry.node)});
  }
  return best;
}

}  // namespace dray::sampling
