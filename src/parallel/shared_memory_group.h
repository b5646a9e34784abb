// Ranks as processes of one machine that share memory. They add as threads do
// (docs/communicators.md); in addition, a rank whose process has ended is noticed.
//
//   starting process                          each rank's process
//   SharedMemoryGroup::Create(...)
//   starts the ranks, each of which
//   inherits descriptor()            ->       JoinSharedMemoryGroup({descriptor, rank, ...})
//
// The starting process may be a rank itself. It need not stay: the memory is there as long as any
// process of the group is.
//
// As with MakeThreadGroup, start the group from a thread that may use all processors of its ranks.
//
// Threads: as with MakeThreadGroup.
#pragma once

#include <chrono>
#include <cstdint>
#include <memory>

#include "base/status.h"
#include "base/threads/thread_pool.h"
#include "parallel/communicator.h"
#include "parallel/memory/group_memory.h"
#include "parallel/memory/memory_file.h"
#include "parallel/rank_timeout.h"

namespace dray::parallel {

struct SharedMemoryGroupSpec {
  int64_t world = 1;             // [1, kMaxWorld]
  int64_t max_count = 0;         // floats in a call, [1, kMaxCount]
  int64_t threads_per_rank = 1;  // computing threads of each rank's process
};

class SharedMemoryGroup {
 public:
  // kInvalidArgument names a value outside its limits; kResourceExhausted if the system refuses the
  // memory: 3 * world * max_count floats, of which pages that are never used cost nothing.
  static Result<SharedMemoryGroup> Create(const SharedMemoryGroupSpec& spec);

  // Of the memory file, for the ranks' processes to inherit. It is closed when another program is
  // executed; duplicate it in the child (dup2, posix_spawn_file_actions_adddup2) to pass it on.
  int descriptor() const { return file_.descriptor(); }
  // Whether the process of `rank` has joined the group and has not ended.
  bool IsPresent(int64_t rank) const { return file_.IsClaimed(rank); }
  // Ends the group, as Communicator::Abort does. Any thread may call it.
  void Abort(const Status& reason) const { memory_.End(reason, FutexScope::kShared); }

 private:
  SharedMemoryGroup(MemoryFile file, GroupMemory memory);

  MemoryFile file_;
  GroupMemory memory_;
};

struct SharedMemoryRankSpec {
  int descriptor = -1;  // SharedMemoryGroup::descriptor() of this group; may be closed afterwards
  int64_t rank = 0;
  // How long the rank waits in a call for another one before it calls that rank lost.
  std::chrono::milliseconds timeout = kRankTimeout;
  // The threads of this rank, which also add large sums; null for the rank's thread alone. They
  // outlive the communicator.
  ThreadPool* pool = nullptr;
};

// This process becomes a rank of the group. kInvalidArgument if the descriptor is not that of a
// group, if the group has no such rank, or if another process is it; kCorrupt if the memory is not
// that of a group.
Result<std::unique_ptr<Communicator>> JoinSharedMemoryGroup(const SharedMemoryRankSpec& spec);

}  // namespace dray::parallel
