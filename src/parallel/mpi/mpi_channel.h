// Messages between the ranks of one group over MPI: waits with a time limit, and the end of the
// group, which one rank tells all others.
//
// Threads: one thread, the rank's, but for Abort.
#pragma once

#include <array>
#include <atomic>
#include <chrono>
#include <cstdint>
#include <memory>
#include <mutex>
#include <span>
#include <vector>

#include "base/status.h"
#include "parallel/mpi/mpi_library.h"
#include "parallel/rank_timeout.h"
#include "parallel/shard.h"

namespace dray::parallel {

// Groups and links of a process have different channels. MPI's tags are at least 15 bits.
inline constexpr int32_t kMaxMpiChannels = 4096;
// MPI counts the bytes of a message in an int.
inline constexpr int64_t kMaxMpiBytes = (int64_t{1} << 31) - 1;

struct MpiChannelSpec {
  std::shared_ptr<MpiLibrary> library;
  std::vector<int32_t>
      members;          // [world]: the ranks of the job that are the group's ranks 0, 1, ...
  int64_t rank = 0;     // this process's in the group
  int32_t channel = 0;  // the same at all members, [0, kMaxMpiChannels)
  std::chrono::milliseconds timeout = kRankTimeout;  // 0: without limit
  // Computing threads of this process: if there are more of them on the machine than processors,
  // waiters do not spin.
  int64_t threads_per_rank = 1;
};
// kInvalidArgument names the value and its limits.
Status CheckSpec(const MpiChannelSpec& spec);

enum class MpiKind : int32_t { kPart, kResult, kGathered, kMessage, kEnd };

// The message that a rank waits for, or that it waits to be rid of.
struct MpiAwaited {
  int64_t rank = 0;  // at the other end
  MpiKind kind = MpiKind::kPart;
  int64_t amount = 0;  // numbers of the call, for the text of an error
};

class MpiChannel {
 public:
  explicit MpiChannel(MpiChannelSpec spec);
  MpiChannel(const MpiChannel&) = delete;
  MpiChannel& operator=(const MpiChannel&) = delete;
  ~MpiChannel();

  Rank rank() const { return rank_; }

  // Begins to send or to receive. The memory belongs to the request until Await has returned OK for
  // it or AwaitLast is true.
  Status Send(const void* data, int64_t bytes, const MpiAwaited& to, DrayMpiRequest* request);
  Status Receive(void* data, int64_t bytes, const MpiAwaited& from, DrayMpiRequest* request);
  // Waits until the request is done, and returns the size of a received message in bytes. Without a
  // request in use it returns 0 at once.
  Result<int64_t> Await(DrayMpiRequest* request, const MpiAwaited& awaited);
  // Waits for a message of just that size.
  Status AwaitBytes(DrayMpiRequest* request, const MpiAwaited& awaited, int64_t bytes);
  // When the channel is no longer needed: gives sends a short time to complete, unless the group
  // has failed. True if none is under way.
  bool AwaitLast(std::span<DrayMpiRequest> sends) const;

  // OK while the group has not ended.
  Status CheckEnd();
  // Ends the group for a reason that this rank has found, and returns it.
  Status Fail(const Status& reason);
  // As Fail; any thread.
  void Abort(const Status& reason);

 private:
  // What a rank sends to all others when it ends the group.
  struct EndMessage {
    uint32_t code = 0;
    uint32_t length = 0;
    std::array<char, 500> text{};
  };

  int32_t TagOf(MpiKind kind) const;
  Status Unavailable(const MpiAwaited& awaited) const;
  // Keeps the first reason. True if it is the first.
  bool KeepReason(const Status& reason);
  Status Reason() const;

  const MpiChannelSpec spec_;
  const DrayMpiApi& api_;
  const Rank rank_;
  const std::chrono::microseconds spin_;

  mutable std::mutex mutex_;  // guards reason_
  Status reason_;
  std::atomic<bool> ended_{false};

  EndMessage end_received_;
  DrayMpiRequest end_receive_{};
  EndMessage end_sent_;
  std::vector<DrayMpiRequest> end_sends_;
};

}  // namespace dray::parallel
