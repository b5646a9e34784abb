// Ranks as threads of one process. docs/communicators.md describes how they add their parts.
//
// Make a group from a thread that may use all processors of its ranks: a group whose maker is bound
// to fewer ones takes it that its ranks have to share them, and its waiters do not spin.
//
// Threads: each communicator belongs to the thread that computes as its rank. Abort may come from
// any thread.
#pragma once

#include <chrono>
#include <cstdint>
#include <memory>
#include <vector>

#include "base/status.h"
#include "base/threads/thread_pool.h"
#include "parallel/communicator.h"
#include "parallel/rank_timeout.h"

namespace dray::parallel {

struct ThreadGroupSpec {
  int64_t world = 1;      // [1, kMaxWorld of parallel/memory/group_memory.h]
  int64_t max_count = 0;  // floats in a call, at least 1
  // How long a rank waits in a call for another one before it calls that rank lost.
  std::chrono::milliseconds timeout = kRankTimeout;
  // [world]: the threads of each rank, which also add large sums; null for the rank's thread alone.
  // Empty: null for all ranks. They outlive the communicators. A rank that waits for another one helps
  // that rank's pool (base/threads/helper_slot.h).
  std::vector<ThreadPool*> pools = {};
};

// [rank]. kInvalidArgument names a value outside its limits; kResourceExhausted if the memory cannot
// be had: 3 * world * max_count floats, of which pages that are never used cost nothing.
Result<std::vector<std::unique_ptr<Communicator>>> MakeThreadGroup(const ThreadGroupSpec& spec);

}  // namespace dray::parallel
