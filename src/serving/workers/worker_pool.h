// The workers of one model version, and the one queue that they take its requests from. A worker is
// an engine with a cache and processors of its own (load/worker_factory.h).
//
// Permanent workers are there as long as the model. Temporary ones are started while the queue is
// long, up to a limit, and end when they have had nothing to do for some time.
//
// Threads: any; Tend belongs to one thread, which calls it again and again. Engines call back on their
// own threads when a request is over. No callback is called under the pool's mutex. Owns a thread while
// Tend has a worker made, which may take as long as loading the model.
#pragma once

#include <chrono>
#include <cstdint>
#include <functional>
#include <memory>
#include <mutex>
#include <stop_token>
#include <thread>
#include <vector>

#include "base/status.h"
#include "engine/engine.h"
#include "serving/workers/job_queue.h"
#include "serving/workers/memory_budget.h"

namespace dray::serving {

struct PoolOptions {
  int64_t min_workers = 1;
  int64_t max_workers = 1;
  // Requests that one worker computes together, joining and leaving step by step.
  int64_t max_running = 32;
  // More than 1: a worker takes so many requests at once instead, as soon as there are so many or
  // the first of them has waited for max_batch_delay, and no more until all of them are over.
  int64_t batch_size = 1;
  std::chrono::milliseconds max_batch_delay{100};
  // How long a temporary worker may have nothing to do.
  std::chrono::seconds max_idle_time{60};
  // How many workers may fail before the model counts as failed.
  int64_t retry_threshold = 0;
};

// What a worker is made of. The engine ends before its memory is given back.
struct WorkerParts {
  MemoryBudget::Lease memory = {};   // that its cache takes
  MemoryBudget::Lease weights = {};  // that weights take which no other worker shares
  std::unique_ptr<engine::Engine> engine = {};
};

struct WorkerStatus {
  int64_t id = 0;
  std::chrono::system_clock::time_point start_time;
  // False: it ends what it has begun and takes no more, or it computes nothing until its failed runner
  // is replaced.
  bool ready = true;
};

struct WorkerGroupStatus {
  int64_t min_workers = 0;
  int64_t max_workers = 0;
  std::vector<WorkerStatus> workers;  // but for those that have failed
  int64_t num_queued = 0;
};

class WorkerPool {
 public:
  using Clock = std::chrono::steady_clock;
  // Makes a further worker where there will be at most `max_workers`. Calls do not overlap. Ends with an
  // error soon after `stop` asks for it.
  using WorkerMaker =
      std::function<Result<WorkerParts>(int64_t max_workers, const std::stop_token& stop)>;
  // The most workers of a model: each has a thread of its own at least.
  static constexpr int64_t kMaxWorkers = 64;

  WorkerPool(const PoolOptions& options, std::vector<WorkerParts> first, WorkerMaker make_worker);
  WorkerPool(const WorkerPool&) = delete;
  WorkerPool& operator=(const WorkerPool&) = delete;
  // Ends all requests with kCancelled.
  ~WorkerPool();

  // Takes a request, whose events come from then on. An error, and no event, if a worker that was
  // free refuses it.
  Status Submit(Job job);

  // What may change while the model serves.
  struct Change {
    int64_t min_workers = 1;
    int64_t max_workers = 1;
    int64_t batch_size = 1;
    std::chrono::milliseconds max_batch_delay{100};
    std::chrono::seconds max_idle_time{60};
  };
  // Starts workers up to the new fewest, and lets those beyond the new most end what they have
  // begun. An error if a worker cannot be started; the numbers hold nevertheless, and it is tried again. But
  // kUnsupported changes no numbers: no such worker will ever start.
  Status Apply(const Change& change);
  PoolOptions options() const;
  // Gives up a worker that is being made; no other one will come.
  void StopMaking() { stop_making_.request_stop(); }

  // Ends cancelled requests that wait, has workers made, ends workers, and begins batches whose time has
  // come. Returns when it should be called again at the latest.
  Clock::time_point Tend();
  // Whether Tend has something to do now.
  bool NeedsTending() const;

  WorkerGroupStatus status() const;
  // False once more workers have failed than retry_threshold allows.
  bool healthy() const;
  // Whether fewer workers compute than there should be: also while one replaces a failed runner.
  bool lacks_workers() const;
  // Of all workers, also those that have ended.
  engine::EngineStats stats() const;

 private:
  struct Worker {
    int64_t id = 0;
    std::chrono::system_clock::time_point start_time;
    WorkerParts parts;
    int64_t num_running = 0;
    Clock::time_point idle_since;
    bool leaving = false;
    // Whether its engine replaces a failed runner.
    bool restarting() const { return parts.engine->stats().restarting > 0; }
  };
  class Sink;
  // A request that an engine has refused.
  struct Refused {
    std::shared_ptr<Generation> generation;
    Status status;
  };
  using Workers = std::vector<std::unique_ptr<Worker>>;

  // Those with "Locked" are called with the mutex held.
  std::vector<Refused> DispatchLocked();
  Worker* FreeWorkerLocked();
  bool BatchIsDueLocked() const;
  void StartLocked(Worker& worker, Job job, std::vector<Refused>& refused);
  void MarkLeavingLocked();
  Workers TakeEndedLocked(Clock::time_point now);
  bool WantsWorkerLocked() const;
  bool WantsWorker() const;
  // Has a thread make a worker.
  void StartMaking();
  int64_t NumActiveLocked() const;
  int64_t NumFailedLocked() const;
  bool HealthyLocked() const { return NumFailedLocked() <= options_.retry_threshold; }

  void OnOver(int64_t worker_id);
  Status AddWorker();
  void AddLocked(WorkerParts parts);
  // Adds what is counted from a worker's start on.
  static void AddStats(engine::EngineStats& sum, const engine::EngineStats& one);
  static void EndAll(const std::vector<Job>& jobs, const Status& status);
  static void Deliver(const std::vector<Refused>& refused);

  const WorkerMaker make_worker_;
  std::mutex making_mutex_;  // held while a worker is made
  std::stop_source stop_making_;

  mutable std::mutex mutex_;
  PoolOptions options_;
  JobQueue queue_;
  Workers workers_;
  int64_t last_id_ = 0;
  int64_t num_failed_ = 0;      // workers that have failed and are taken out
  Clock::time_point next_try_;  // after a worker could not be made
  engine::EngineStats ended_stats_;
  bool stopping_ = false;
  bool making_ = false;  // maker_ is at work
  std::jthread maker_;   // of Tend
};

}  // namespace dray::serving
