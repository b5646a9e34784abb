// A fixed team of threads that runs one parallel region at a time: the caller is member 0, the
// others wait, first spinning briefly (operations of one model step follow each other within
// microseconds), then asleep.
//
// The threads belong to the process: pools that share processors take turns, so that however many
// there are, no more threads compute than there are processors (unless one pool asks for more).
// See worker_set.h.
//
// Threads: a pool may be used from one thread at a time; a region must not call Run again,
// of any pool.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <utility>
#include <vector>

#include "base/threads/helper_slot.h"
#include "base/threads/worker_set.h"

namespace dray {

class ThreadPool {
 public:
  // `num_threads` >= 1, the caller counted; 0 means UsableCpuCount(). The process ends if the system gives no more
  // threads; with Make, that is kResourceExhausted.
  explicit ThreadPool(int num_threads = 0, Pinning pinning = Pinning::kPinned);
  static Result<std::unique_ptr<ThreadPool>> Make(int num_threads, Pinning pinning);
  // Makes `num_pools` pools of `num_threads` >= 1 threads each, whose callers compute one thing
  // together and wait for each other while they do so. The pools have no processor in common, unless
  // there are too few. If each pool waited for its own processors, two such groups could wait for
  // each other for ever. So the group takes all its processors at once, in the first pool's turn:
  // that turn must begin before the turns of the other pools and end after them.
  // With GroupTurns::kNone the callers may be at different things; the pools wait for no turns.
  // kResourceExhausted if the system gives no more threads.
  static Result<std::vector<std::unique_ptr<ThreadPool>>> MakeGroup(
      const WorkerSet::GroupSpec& spec);
  ThreadPool(const ThreadPool&) = delete;
  ThreadPool& operator=(const ThreadPool&) = delete;
  ~ThreadPool();

  // Threads of the next regions, and the most there may be.
  int num_threads() const { return static_cast<int>(active_.size()); }
  int max_threads() const { return static_cast<int>(home_.places.size()); }
  // From now on, `num_threads` of max_threads(), spread evenly over them. Not within a turn.
  void UseThreads(int num_threads);

  // From BeginTurn to EndTurn this pool has its processors to itself, for work that consists of
  // many regions. Turns that follow each other closely may be one; outside of turns, regions may
  // (place_turns.h).
  void BeginTurn();
  void EndTurn();
  // Binds the calling thread as the pool's other threads are; for threads that do nothing but call
  // this pool.
  void BindCaller() const;

  // Calls body(thread_idx) once on every thread, 0 <= thread_idx < num_threads(), and waits for
  // all. Allocates nothing.
  template <typename Body>
  void Run(const Body& body) {
    RunErased([](const void* context,
                 int thread_idx) { (*static_cast<const Body*>(context))(thread_idx); },
              &body);
  }

  // Where thread 0 may offer the rest of a region to a thread of another pool, which is then one thread
  // more than num_threads(). Only regions that make such an offer are helped.
  HelperSlot& helper_slot() { return helper_slot_; }

  // Inside Run: waits until every thread has arrived. All of them must call it equally often.
  void Barrier();

  // The half-open part [begin, end) of `count` items that belongs to `thread_idx`, contiguous and
  // as even as can be.
  std::pair<int64_t, int64_t> Share(int64_t count, int thread_idx) const {
    return {count * thread_idx / num_threads(), count * (thread_idx + 1) / num_threads()};
  }
  // Writes a zero into every page of fresh, zero memory, each from the thread whose share it is:
  // the kernel puts a page on the memory node of the thread that first writes to it.
  void TouchShares(std::byte* memory, int64_t size_bytes);
  // Memory nodes of the machine.
  int num_nodes() const { return workers_->num_nodes(); }

 private:
  ThreadPool(std::shared_ptr<WorkerSet> workers, WorkerSet::Home home, GroupTurns turns);
  const std::vector<WorkPlace*>& turn_places() const { return group_ ? *group_ : active_; }
  void RunErased(Team::Region region, const void* context);

  std::shared_ptr<WorkerSet> workers_;
  WorkerSet::Home home_;
  std::vector<WorkPlace*> active_;  // of home_.places
  // The places that a turn takes, if the pool is one of a group: those of all pools for the first
  // pool, none for the others.
  std::optional<std::vector<WorkPlace*>> group_;
  GroupTurns turns_ = GroupTurns::kTogether;
  Team* team_;
  bool in_turn_ = false;
  HelperSlot helper_slot_;
  TurnSeries steps_{TurnSeries::Parts::kSteps};      // from BeginTurn to EndTurn
  TurnSeries regions_{TurnSeries::Parts::kRegions};  // outside of that
};

}  // namespace dray
