// A counter on which ranks wait for each other. It lies in memory that is private to a process or
// shared by several, and works alike in both.
//
// One rank advances a word from mark to mark; any number of ranks wait until it has come to some mark.
// A waiter spins first and then sleeps in the kernel (futex). Any rank may end a word; then all waits for it end.
#pragma once

#include <atomic>
#include <chrono>
#include <cstdint>

#include "base/threads/helper_slot.h"

namespace dray::parallel {

// A value of the counter. Counts from kFirstMark and wraps around. Marks are compared by their difference, which is far
// below 2^30.
using Mark = uint32_t;
// A little before the counter wraps around, so that every test passes that point.
inline constexpr Mark kFirstMark = (uint32_t{1} << 31) - 100;

// On a cache line of its own: others spin on it.
struct alignas(64) SyncWord {
  std::atomic<uint32_t> value{kFirstMark * 2};  // the mark * 2, + 1 if the word has ended
  std::atomic<uint32_t> sleepers{0};            // threads that may sleep on `value`
};

// Whether only threads of one process sleep on a word, which the kernel finds faster.
enum class FutexScope : uint8_t { kProcess, kShared };

// Finds out whether the process of a rank is gone. Asked by waiters that would sleep.
class Liveness {
 public:
  virtual ~Liveness() = default;
  virtual bool IsGone(int64_t rank) const = 0;
};

struct WaitRules {
  FutexScope scope = FutexScope::kProcess;
  std::chrono::microseconds spin{0};
  // 0 or less: waits without limit.
  std::chrono::milliseconds timeout{0};
  const Liveness* liveness = nullptr;  // null: a rank cannot go away without its word being ended
  // Where a waiter that spins may help the rank that it waits for; null: nowhere. The time in which it
  // helps does not count as spinning.
  HelperSlot* helps = nullptr;
};

enum class WaitOutcome : uint8_t { kReached, kEnded, kTimedOut, kGone };

// Moves the word to its next mark and wakes those who sleep on it. False if the word has ended.
bool Advance(SyncWord& word, FutexScope scope);
// Ends the word for good and wakes those who sleep on it.
void End(SyncWord& word, FutexScope scope);
// Waits until the word, which `rank` advances, has come to `mark`. What that rank wrote before it
// advanced the word is visible then. kEnded comes before kReached.
WaitOutcome AwaitMark(SyncWord& word, Mark mark, const WaitRules& rules, int64_t rank);

// How long waiters of a group with `threads` computing threads in all spin. 0 if there are more of
// them than processors: then a thread that spins keeps the one that it waits for from computing.
std::chrono::microseconds SpinTime(int64_t threads);

}  // namespace dray::parallel
