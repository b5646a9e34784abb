// The communicator of a rank that shares memory with all others. docs/communicators.md describes its
// sums and gathers.
#pragma once

#include <cstdint>
#include <memory>
#include <vector>

#include "base/threads/thread_pool.h"
#include "parallel/communicator.h"
#include "parallel/memory/group_memory.h"
#include "parallel/rank_order_sum.h"

namespace dray::parallel {

// Whether ranks that share memory divide a sum among them.
bool DividesSum(int64_t world, int64_t count);

struct MemoryCommunicatorParts {
  std::shared_ptr<const GroupMemory> memory;
  int64_t rank = 0;
  WaitRules rules;
  ThreadPool* pool = nullptr;  // of the rank, for large sums; null: the rank's thread alone
  // [rank]: where this rank helps while it waits for that rank, or null. Empty between processes.
  std::vector<HelperSlot*> helper_slots;
  std::shared_ptr<const Liveness> liveness;  // kept alive for rules.liveness; may be null
};

class MemoryCommunicator final : public Communicator {
 public:
  explicit MemoryCommunicator(MemoryCommunicatorParts parts);

  Rank rank() const override { return rank_; }
  int64_t max_count() const override { return memory_.shape().max_count; }
  float* part() override { return memory_.part(rank_.index, buffer_); }
  Status AddParts(float* x, int64_t count) override;
  Status Gather(const float* mine, int64_t count, float* all) override;
  void Abort(const Status& reason) override { memory_.End(reason, parts_.rules.scope); }
  Traffic traffic() const override { return traffic_; }

 private:
  enum class Kind : uint8_t { kSum, kGather };

  // Writes into this rank's line what its next call is.
  Status BeginCall(Kind kind, int64_t count);
  // Lets the others know that this rank's numbers are in place.
  Status NextMark();
  Status AwaitMarkOf(int64_t rank, Mark mark);
  // Fails if the call of `rank`, which has come to this rank's present call, is another one.
  Status CheckCallOf(int64_t rank);
  // Ends the group for a reason that this rank has found.
  Status Fail(const Status& reason);

  Status SumByShares(float* x, int64_t count);
  void CountReceived(int64_t count) {
    traffic_.received_bytes += static_cast<uint64_t>(count) * sizeof(float);
  }
  // Adds the parts' numbers [begin, end) of all ranks to x.
  void AddRange(float* x, int64_t begin, int64_t end) const;
  // Calls body(from, to) for parts of the share: on all threads of the rank if there is enough for
  // them to do.
  template <typename Body>
  void Divide(Share share, const Body& body) const;

  const MemoryCommunicatorParts parts_;
  const GroupMemory& memory_;
  const Rank rank_;
  int64_t buffer_ = 0;             // of the next sum, 0 or 1
  Mark mark_ = kFirstMark;         // that this rank has come to
  Mark last_gather_ = kFirstMark;  // that rank 0 comes to when it has all numbers of the last one
  int64_t slot_ = 0;               // of the present call in the ranks' lines
  uint64_t call_ = 0;              // what stands there
  Status failure_;                 // of a call that failed: all later ones fail alike
  Traffic traffic_;
};

}  // namespace dray::parallel
