// The merges of a BPE model, by the pair of ids that each joins; and the set of character pairs at
// which merges can happen at all.
#pragma once

#include <cstdint>
#include <vector>

#include "tokenizer/text/hash.h"
#include "tokenizer/text/work_budget.h"

namespace dray::tokenizer {

// A fixed-size open hash table from 64-bit keys to `Value`, for keys known to be
// fewer than reserved.
template <typename Value>
class FlatTable {
 public:
  FlatTable() : slots_(2) {}

  // Room for `count` keys; forgets what was there.
  void Reset(size_t count) {
    size_t slots = 2;
    while (slots < 2 * count + 2) slots *= 2;
    slots_.assign(slots, Slot{});
  }

  // Adds or overwrites.
  void Set(uint64_t key, const Value& value) {
    Slot& slot = slots_[Find(key)];
    slot.key = key;
    slot.value = value;
  }

  // The value of `key`, or null.
  const Value* Get(uint64_t key) const {
    const Slot& slot = slots_[Find(key)];
    return slot.key == key ? &slot.value : nullptr;
  }

 private:
  static constexpr uint64_t kFree = UINT64_MAX;
  struct Slot {
    uint64_t key = kFree;
    Value value{};
  };
  size_t Find(uint64_t key) const {
    const size_t mask = slots_.size() - 1;
    size_t slot = HashKey(key, seed_) & mask;
    while (slots_[slot].key != key && slots_[slot].key != kFree) slot = (slot + 1) & mask;
    return slot;
  }

  std::vector<Slot> slots_;
  uint64_t seed_ = HashSeed();
};

// What a pair of neighbouring ids becomes. A lower rank goes first.
struct Merge {
  uint32_t rank = 0;
  int32_t id = 0;
};

using MergeTable = FlatTable<Merge>;

// The key of a pair of ids, neither negative.
inline uint64_t PairKey(int32_t left, int32_t right) {
  return (static_cast<uint64_t>(static_cast<uint32_t>(left)) << 32) | static_cast<uint32_t>(right);
}

// Joins neighbours in `ids` by rank, and among equal ranks from the left, until no pair of `merges`
// is left. kCancelled if `budget` says so.
Status MergeAll(const MergeTable& merges, WorkBudget& budget, std::vector<int32_t>& ids);

}  // namespace dray::tokenizer
