#include "parallel/memory/memory_communicator.h"

#include <fmt/format.h>

#include <algorithm>
#include <atomic>
#include <cstring>
#include <utility>

#include "base/check.h"

namespace dray::parallel {
namespace {

// What a rank adds from other cores' caches while ranks wait for each other once, as measured by
// bench/allreduce_bench on two cores of an AMD EPYC (Zen 4): a wait costs 1.2 microseconds, and a
// rank adds 7 bytes of another one's part in a nanosecond.
constexpr int64_t kBytesPerWait = 8 * 1024;
// Numbers for which another thread pays: it takes some 10 microseconds to add them, and about one
// to start and end a region of the pool.
constexpr int64_t kNumbersPerThread = 16 * 1024;
// A call in one word: the mark that it begins with, its kind, its count (at most 2^30).
constexpr int kMarkShift = 32;
constexpr int kKindShift = 31;
constexpr uint64_t kCountMask = (uint64_t{1} << kKindShift) - 1;

std::string Describe(uint64_t call) {
  const bool is_gather = (call >> kKindShift & 1) != 0;
  return fmt::format("{} of {} numbers", is_gather ? "a gather" : "a sum", call & kCountMask);
}

}  // namespace

bool DividesSum(int64_t world, int64_t count) { return SharesPay(world, count, kBytesPerWait); }

MemoryCommunicator::MemoryCommunicator(MemoryCommunicatorParts parts)
    : parts_(std::move(parts)),
      memory_(*parts_.memory),
      rank_{parts_.rank, memory_.shape().world} {}

Status MemoryCommunicator::Fail(const Status& reason) {
  memory_.End(reason, parts_.rules.scope);
  failure_ = reason;
  return reason;
}

Status MemoryCommunicator::BeginCall(Kind kind, int64_t count) {
  DRAY_CHECK(count >= 0 && count <= max_count());
  slot_ = kind == Kind::kGather ? 2 : buffer_;
  call_ = static_cast<uint64_t>(mark_) << kMarkShift | static_cast<uint64_t>(kind) << kKindShift |
          static_cast<uint64_t>(count);
  memory_.line(rank_.index).calls[slot_].store(call_, std::memory_order_relaxed);
  return failure_;
}

Status MemoryCommunicator::NextMark() {
  ++mark_;
  if (Advance(memory_.line(rank_.index).word, parts_.rules.scope)) return OkStatus();
  failure_ = memory_.Reason();
  return failure_;
}

Status MemoryCommunicator::AwaitMarkOf(int64_t rank, Mark mark) {
  const auto failure = [&](std::string_view what) {
    return Fail(
        {StatusCode::kUnavailable, fmt::format("rank {} of {} {}", rank, rank_.world, what)});
  };
  WaitRules rules = parts_.rules;
  if (!parts_.helper_slots.empty()) rules.helps = parts_.helper_slots[static_cast<size_t>(rank)];
  switch (AwaitMark(memory_.line(rank).word, mark, rules, rank)) {
    case WaitOutcome::kReached:
      return OkStatus();
    case WaitOutcome::kEnded:
      failure_ = memory_.Reason();
      return failure_;
    case WaitOutcome::kGone:
      return failure("has ended: its process is gone");
    case WaitOutcome::kTimedOut:
      break;
  }
  return failure(
      fmt::format("did not come to {} within {} ms: it hangs, or takes longer for a step "
                  "than the group's time limit allows",
                  Describe(call_), parts_.rules.timeout.count()));
}

Status MemoryCommunicator::CheckCallOf(int64_t rank) {
  const uint64_t theirs = memory_.line(rank).calls[slot_].load(std::memory_order_relaxed);
  if (theirs == call_) return OkStatus();
  const bool same_mark = theirs >> kMarkShift == call_ >> kMarkShift;
  return Fail(
      {StatusCode::kUnavailable,
       fmt::format("rank {} of {} makes {} where rank {} makes {}: the ranks have gone apart", rank,
                   rank_.world, same_mark ? Describe(theirs) : "another call", rank_.index,
                   Describe(call_))});
}

Status MemoryCommunicator::AddParts(float* x, int64_t count) {
  DRAY_RETURN_IF_ERROR(BeginCall(Kind::kSum, count));
  DRAY_RETURN_IF_ERROR(NextMark());
  for (int64_t i = 1; i < rank_.world; ++i) {
    const int64_t other = (rank_.index + i) % rank_.world;
    DRAY_RETURN_IF_ERROR(AwaitMarkOf(other, mark_));
    DRAY_RETURN_IF_ERROR(CheckCallOf(other));
  }
  if (DividesSum(rank_.world, count)) {
    DRAY_RETURN_IF_ERROR(SumByShares(x, count));
  } else {
    Divide({0, count}, [&](int64_t begin, int64_t end) { AddRange(x, begin, end); });
    CountReceived(count * (rank_.world - 1));
  }
  // The parts of the call before last are in the other buffer. All ranks have come to this call, so
  // none reads them any more.
  buffer_ = 1 - buffer_;
  ++traffic_.sums;
  traffic_.sum_numbers += static_cast<uint64_t>(count);
  return OkStatus();
}

Status MemoryCommunicator::SumByShares(float* x, int64_t count) {
  float* const mine = part();
  // No other rank reads this share of this rank's part, so the result may lie there.
  Divide(ShareOf(count, rank_), [&](int64_t from, int64_t to) {
    AddRange(x, from, to);
    std::copy(x + from, x + to, mine + from);
  });
  CountReceived(ShareOf(count, rank_).count() * (rank_.world - 1));
  DRAY_RETURN_IF_ERROR(NextMark());
  // Each rank begins with the next one's share, so they do not all read from one at a time.
  for (int64_t i = 1; i < rank_.world; ++i) {
    const int64_t other = (rank_.index + i) % rank_.world;
    DRAY_RETURN_IF_ERROR(AwaitMarkOf(other, mark_));
    const float* const theirs = memory_.part(other, buffer_);
    const Share share = ShareOf(count, {other, rank_.world});
    Divide(share,
           [&](int64_t from, int64_t to) { std::copy(theirs + from, theirs + to, x + from); });
    CountReceived(share.count());
  }
  return OkStatus();
}

Status MemoryCommunicator::Gather(const float* mine, int64_t count, float* all) {
  // Rank 0 may still read the numbers that this rank gave to the last gather.
  if (rank_.index != 0) DRAY_RETURN_IF_ERROR(AwaitMarkOf(0, last_gather_));
  DRAY_RETURN_IF_ERROR(BeginCall(Kind::kGather, count));
  std::copy_n(mine, count, rank_.index == 0 ? all : memory_.gathered(rank_.index));
  // Rank 0's own word moves on when it has the numbers of all.
  for (int64_t other = 1; rank_.index == 0 && other < rank_.world; ++other) {
    DRAY_RETURN_IF_ERROR(AwaitMarkOf(other, mark_ + 1));
    DRAY_RETURN_IF_ERROR(CheckCallOf(other));
    std::copy_n(memory_.gathered(other), count, all + other * count);
    CountReceived(count);
  }
  DRAY_RETURN_IF_ERROR(NextMark());
  last_gather_ = mark_;
  ++traffic_.gathers;
  traffic_.gather_numbers += static_cast<uint64_t>(count);
  return OkStatus();
}

void MemoryCommunicator::AddRange(float* x, int64_t begin, int64_t end) const {
  AddInRankOrder(x + begin, end - begin, rank_.world,
                 [&](int64_t rank) { return memory_.part(rank, buffer_) + begin; });
}

template <typename Body>
void MemoryCommunicator::Divide(Share share, const Body& body) const {
  ThreadPool* const pool = parts_.pool;
  if (pool == nullptr || pool->num_threads() == 1 || share.count() < 2 * kNumbersPerThread) {
    body(share.begin, share.end);
    return;
  }
  pool->Run([&](int thread_idx) {
    const auto [from, to] = pool->Share(share.count(), thread_idx);
    body(share.begin + from, share.begin + to);
  });
}

}  // namespace dray::parallel
