#include "parallel/memory/sync_word.h"

#include <linux/futex.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <algorithm>
#include <climits>
#include <optional>

#include "base/machine/cpu_info.h"
#include "base/threads/spin.h"

namespace dray::parallel {
namespace {

using Clock = std::chrono::steady_clock;

// How often a sleeping waiter asks whether the rank is gone: rare enough to cost nothing, and small
// beside the time that a restart takes.
constexpr auto kLivenessPeriod = std::chrono::milliseconds(50);

int Operation(int operation, FutexScope scope) {
  return scope == FutexScope::kProcess ? operation | FUTEX_PRIVATE_FLAG : operation;
}

void WakeAll(SyncWord& word, FutexScope scope) {
  syscall(SYS_futex, &word.value, Operation(FUTEX_WAKE, scope), INT_MAX, nullptr, nullptr, 0);
}

bool Ended(uint32_t value) { return (value & 1) != 0; }

bool AtLeast(uint32_t value, Mark mark) {
  return static_cast<int32_t>((value & ~uint32_t{1}) - mark * 2) >= 0;
}

std::optional<WaitOutcome> Look(const SyncWord& word, Mark mark) {
  const uint32_t value = word.value.load(std::memory_order_acquire);
  if (Ended(value)) return WaitOutcome::kEnded;
  if (AtLeast(value, mark)) return WaitOutcome::kReached;
  return std::nullopt;
}

std::optional<WaitOutcome> Spin(const SyncWord& word, Mark mark, const WaitRules& rules) {
  auto until = Clock::now() + rules.spin;
  for (int i = 0;; ++i) {
    if (const auto outcome = Look(word, mark)) return outcome;
    if (rules.helps != nullptr && rules.helps->Help()) until = Clock::now() + rules.spin;
    PauseProcessor();
    if (i % kPausesPerLook == kPausesPerLook - 1 && Clock::now() > until) return std::nullopt;
  }
}

// Sleeps until the word changes, for at most `longest`; negative: without limit. A word that
// changes between the look at it and the kernel's does not put the thread to sleep.
void SleepOn(SyncWord& word, Mark mark, FutexScope scope, std::chrono::nanoseconds longest) {
  timespec limit{};
  limit.tv_sec = longest.count() / 1'000'000'000;
  limit.tv_nsec = longest.count() % 1'000'000'000;
  word.sleepers.fetch_add(1, std::memory_order_seq_cst);
  const uint32_t value = word.value.load(std::memory_order_seq_cst);
  if (!Ended(value) && !AtLeast(value, mark)) {
    syscall(SYS_futex, &word.value, Operation(FUTEX_WAIT, scope), value,
            longest.count() < 0 ? nullptr : &limit, nullptr, 0);
  }
  word.sleepers.fetch_sub(1, std::memory_order_relaxed);
}

}  // namespace

bool Advance(SyncWord& word, FutexScope scope) {
  // Both are sequentially consistent, as is the waiter's pair in SleepOn: either this thread sees
  // the sleeper, or the sleeper sees the new mark.
  const uint32_t before = word.value.fetch_add(2, std::memory_order_seq_cst);
  if (word.sleepers.load(std::memory_order_seq_cst) != 0) WakeAll(word, scope);
  return !Ended(before);
}

void End(SyncWord& word, FutexScope scope) {
  word.value.fetch_or(1, std::memory_order_seq_cst);
  WakeAll(word, scope);
}

WaitOutcome AwaitMark(SyncWord& word, Mark mark, const WaitRules& rules, int64_t rank) {
  if (const auto outcome = Look(word, mark)) return *outcome;
  const auto start = Clock::now();
  if (rules.spin.count() > 0) {
    if (const auto outcome = Spin(word, mark, rules)) return *outcome;
  }
  const bool limited = rules.timeout.count() > 0;
  for (;;) {
    std::chrono::nanoseconds longest(-1);
    if (limited) longest = start + rules.timeout - Clock::now();
    // The word may have moved on since the last look at it, in particular if this process was
    // stopped in between.
    if (limited && longest.count() <= 0) {
      return Look(word, mark).value_or(WaitOutcome::kTimedOut);
    }
    if (rules.liveness != nullptr) {
      if (rules.liveness->IsGone(rank)) return Look(word, mark).value_or(WaitOutcome::kGone);
      longest = limited ? std::min<std::chrono::nanoseconds>(longest, kLivenessPeriod)
                        : std::chrono::nanoseconds(kLivenessPeriod);
    }
    SleepOn(word, mark, rules.scope, longest);
    if (const auto outcome = Look(word, mark)) return *outcome;
  }
}

std::chrono::microseconds SpinTime(int64_t threads) {
  return threads > UsableCpuCount() ? std::chrono::microseconds(0) : kSpinTime;
}

}  // namespace dray::parallel
