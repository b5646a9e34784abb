#include "tokenizer/models/merge_table.h"

#include <queue>

namespace dray::tokenizer {
namespace {

// Up to this many symbols, looking for the best pair in all of them is faster than a heap.
constexpr size_t kMaxScanned = 32;
constexpr uint32_t kNoRank = UINT32_MAX;

void MergeShort(const MergeTable& merges, std::vector<int32_t>& ids) {
  size_t count = ids.size();
  Merge pairs[kMaxScanned];  // what ids[i] and ids[i + 1] become
  const auto look_up = [&](size_t i) {
    const Merge* merge = merges.Get(PairKey(ids[i], ids[i + 1]));
    pairs[i] = merge != nullptr ? *merge : Merge{kNoRank, 0};
  };
  for (size_t i = 0; i + 1 < count; ++i) look_up(i);
  while (count > 1) {
    size_t best = 0;
    for (size_t i = 1; i + 1 < count; ++i) {
      if (pairs[i].rank < pairs[best].rank) best = i;
    }
    if (pairs[best].rank == kNoRank) break;
    ids[best] = pairs[best].id;
    --count;
    for (size_t i = best + 1; i < count; ++i) {
      ids[i] = ids[i + 1];
      if (i + 1 < count) pairs[i] = pairs[i + 1];
    }
    if (best > 0) look_up(best - 1);
    if (best + 1 < count) look_up(best);
  }
  ids.resize(count);
}

struct Candidate {
  uint32_t rank;
  uint32_t pos;
  int32_t id;
  bool operator>(const Candidate& other) const {
    return rank != other.rank ? rank > other.rank : pos > other.pos;
  }
};

class LongMerger {
 public:
  LongMerger(const MergeTable& merges, std::vector<int32_t>& ids)
      : merges_(merges), ids_(ids), next_(ids.size()), previous_(ids.size()) {
    for (uint32_t i = 0; i < ids.size(); ++i) {
      next_[i] = i + 1;
      previous_[i] = i - 1;  // wraps to kEnd for the first
    }
  }

  Status Run(WorkBudget& budget) {
    for (uint32_t i = 0; i + 1 < ids_.size(); ++i) Push(i);
    while (!queue_.empty()) {
      const Candidate top = queue_.top();
      queue_.pop();
      if (budget.IsCancelledAfter(1)) return budget.SpentError(ids_.size());
      if (ids_[top.pos] == kGone || next_[top.pos] >= ids_.size()) continue;
      const uint32_t right = next_[top.pos];
      const Merge* merge = merges_.Get(PairKey(ids_[top.pos], ids_[right]));
      if (merge == nullptr || merge->id != top.id) continue;  // the pair has changed since
      Join(top.pos, right, top.id);
    }
    std::erase(ids_, kGone);
    return OkStatus();
  }

 private:
  static constexpr int32_t kGone = -1;
  static constexpr uint32_t kEnd = UINT32_MAX;

  void Push(uint32_t left) {
    const Merge* merge = merges_.Get(PairKey(ids_[left], ids_[next_[left]]));
    if (merge != nullptr) queue_.push({merge->rank, left, merge->id});
  }

  void Join(uint32_t left, uint32_t right, int32_t id) {
    ids_[left] = id;
    ids_[right] = kGone;
    next_[left] = next_[right];
    if (next_[left] < ids_.size()) previous_[next_[left]] = left;
    if (previous_[left] != kEnd) Push(previous_[left]);
    if (next_[left] < ids_.size()) Push(left);
  }

  const MergeTable& merges_;
  std::vector<int32_t>& ids_;
  std::vector<uint32_t> next_;
  std::vector<uint32_t> previous_;
  std::priority_queue<Candidate, std::vector<Candidate>, std::greater<>> queue_;
};

}  // namespace

Status MergeAll(const MergeTable& merges, WorkBudget& budget, std::vector<int32_t>& ids) {
  if (ids.size() > kMaxScanned) return LongMerger(merges, ids).Run(budget);
  if (ids.size() > 1) MergeShort(merges, ids);
  return OkStatus();
}

}  // namespace dray::tokenizer
