// The process's only set of computing threads, one for each processor; all ThreadPools use it. So
// several models in a process do not start more threads than there are processors.
//
// A place stands for a processor, and has a thread once it needs one. A pool's home is a number of
// places. Pools whose homes have a place in common take turns.
#pragma once

#include <atomic>
#include <cstdint>
#include <memory>
#include <mutex>
#include <thread>
#include <vector>

#include "base/status.h"
#include "base/threads/place_turns.h"
#include "base/threads/work_place.h"

namespace dray {

// Whether threads stay on their processors.
enum class Pinning : uint8_t { kPinned, kFree };

// How the pools of a group compute.
enum class GroupTurns : uint8_t {
  kTogether,  // in turns of the whole group, on places that other pools may have in their turns
  kNone,      // at any time, on places that no other pool has
};

// The places of a pool with `num_threads` threads, out of `num_places`. `home` is the number of
// pools of this size that were made before. The places are spread evenly, and the homes 0, 1, ...
// of equal pools do not overlap while there are places left. A pool with more threads than there
// are places gets additional places.
std::vector<int> PlacesOfPool(int num_places, int num_threads, int home);

// The processors that the thread of each place may use, or none for any: the place's own if all
// places compute together, else those of its memory node if there are several. `nodes` as
// CpusByNode gives them; places are numbered node by node.
std::vector<std::vector<int>> CpusOfPlaces(const std::vector<std::vector<int>>& nodes,
                                           int num_threads);

class WorkerSet {
 public:
  // The set of this process; it ends with the last pool that holds it.
  static std::shared_ptr<WorkerSet> OfProcess();
  WorkerSet();
  WorkerSet(const WorkerSet&) = delete;
  WorkerSet& operator=(const WorkerSet&) = delete;
  ~WorkerSet();

  // Where a pool computes.
  struct Home {
    std::vector<WorkPlace*> places;  // the first is for whoever calls, the others have threads
    std::vector<int> caller_cpus;    // that the caller may be bound to; none: any
  };
  // Both fail with kResourceExhausted if the system gives no more threads.
  Result<Home> Join(int num_threads, Pinning pinning);
  // The homes of `num_pools` pools of `num_threads` threads each that compute together. No place is
  // in two of them: if there are fewer places than threads, the set gets additional places.
  struct GroupSpec {
    int num_pools = 1;
    int num_threads = 1;  // of each pool
    Pinning pinning = Pinning::kPinned;
    GroupTurns turns = GroupTurns::kTogether;
  };
  Result<std::vector<Home>> JoinGroup(const GroupSpec& spec);
  // Gives back places that no other pool has. Their threads stay for the next group.
  void LeaveOwnPlaces(const std::vector<WorkPlace*>& places);
  // A team that lives as long as the set.
  Team* NewTeam();
  void ReturnTeam(Team* team);

  // The turns on the places of all pools.
  PlaceTurns& turns() { return turns_; }
  // Lets the place's thread run the team's region as `thread_idx`. The caller has taken the place.
  static void Post(WorkPlace& place, Team* team, int thread_idx);

  // Threads started so far; callers are not among them.
  int num_threads() const;
  int num_nodes() const { return static_cast<int>(nodes_.size()); }

 private:
  static void Work(WorkPlace& place);
  // Lets a thread of its own, bound to `cpus` unless there are none, work at the place.
  static Status Staff(WorkPlace& place, const std::vector<int>& cpus);
  WorkPlace& SharedPlace(int index);
  WorkPlace& OwnPlace();
  void FreeOwnPlaces(const std::vector<WorkPlace*>& places);

  const std::vector<std::vector<int>> nodes_;
  const int num_cpus_;

  PlaceTurns turns_;
  mutable std::mutex mutex_;
  std::vector<std::unique_ptr<WorkPlace>> places_;
  std::vector<std::unique_ptr<WorkPlace>> own_places_;  // of groups without turns
  std::vector<WorkPlace*> free_own_places_;
  std::vector<int> num_homes_;  // of pools, by their number of threads
  std::vector<std::unique_ptr<Team>> teams_;
  std::vector<Team*> free_teams_;
};

// Waits until `word` differs from `old`. First spins for a short time, since the operations of one
// step follow each other within tens of microseconds and waking a sleeping thread costs about 50;
// then sleeps.
void WaitForChange(const std::atomic<uint32_t>& word, uint32_t old);
// Lets `thread` run only on `cpus`. If the system refuses, nothing happens.
void BindThread(std::thread::native_handle_type thread, const std::vector<int>& cpus);

}  // namespace dray
