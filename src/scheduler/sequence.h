// What the scheduler remembers of one sequence, and the ordered queue that links sequences without
// allocating. Internal to this folder.
#pragma once

#include <algorithm>
#include <compare>
#include <cstdint>
#include <optional>
#include <vector>

#include "base/ids.h"

namespace dray::scheduler {

// Index of a Sequence in the scheduler's table.
using SequenceIndex = int32_t;
inline constexpr SequenceIndex kNoSequence = -1;

enum class SequenceState {
  kUnused,     // the table's entry is free
  kWaiting,    // holds no blocks
  kRunning,    // holds blocks
  kCancelled,  // was cancelled in flight, and holds its blocks until its step is back
};

// The order in which sequences are served. A fork has its parent's arrival, because its request has
// waited since then.
struct Order {
  uint64_t arrival = 0;
  uint64_t serial = 0;  // unique
  auto operator<=>(const Order&) const = default;
};

// The sequence that a fork may share prompt blocks with. The serial tells that sequence from a
// later one with the same id.
struct ParentLink {
  SequenceId id;
  uint64_t serial = 0;
};

struct Sequence {
  SequenceId id;
  SequenceState state = SequenceState::kUnused;
  Order order;
  std::optional<ParentLink> parent;
  int64_t num_prompt_tokens = 0;
  int64_t max_new_tokens = 0;
  int64_t num_generated = 0;
  int64_t num_computed = 0;   // tokens whose keys and values are in `blocks`
  int64_t num_scheduled = 0;  // tokens that its steps in flight compute, guesses included
  size_t entry = 0;           // its place in the plan of the last of them
  bool held = false;          // a beam whose next token is not chosen yet: Outcome::kHeld
  std::vector<BlockId> blocks;
  SequenceIndex previous = kNoSequence;
  SequenceIndex next = kNoSequence;

  // Whether a step that is planned or in flight computes tokens of this sequence.
  bool in_flight() const { return num_scheduled > 0; }
  int64_t num_known() const { return num_prompt_tokens + num_generated; }
  int64_t num_pending() const { return num_known() - num_computed; }
  // Pending tokens that are in no step yet. None while a step that samples is in flight.
  int64_t num_unplanned() const { return std::max<int64_t>(0, num_pending() - num_scheduled); }
};

// A list of sequences in ascending Order, linked through `previous` and `next` of the table's
// entries; a sequence is in at most one queue.
class SequenceQueue {
 public:
  SequenceIndex front() const { return front_; }
  SequenceIndex back() const { return back_; }
  int64_t size() const { return size_; }
  bool empty() const { return size_ == 0; }

  // Both insert by Order. They differ in the end from which they look for the place: the caller
  // chooses the end that is probably nearer.
  void InsertFromFront(std::vector<Sequence>& table, SequenceIndex index);
  void InsertFromBack(std::vector<Sequence>& table, SequenceIndex index);
  void Remove(std::vector<Sequence>& table, SequenceIndex index);

 private:
  void InsertBefore(std::vector<Sequence>& table, SequenceIndex index, SequenceIndex next);

  SequenceIndex front_ = kNoSequence;
  SequenceIndex back_ = kNoSequence;
  int64_t size_ = 0;
};

}  // namespace dray::scheduler
