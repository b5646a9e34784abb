#include <fmt/format.h>

#include <algorithm>
#include <system_error>
#include <utility>

#include "base/log.h"
#include "serving/workers/worker_pool.h"

namespace dray::serving {
namespace {

// How often cancelled requests are looked for, and workers that have failed.
constexpr std::chrono::milliseconds kTendInterval{50};
// When it is tried again to start a worker that could not be started.
constexpr std::chrono::seconds kRetryInterval{1};

}  // namespace

void WorkerPool::AddStats(engine::EngineStats& sum, const engine::EngineStats& one) {
  sum.steps += one.steps;
  sum.step_sizes.Add(one.step_sizes);
  sum.prompt_tokens += one.prompt_tokens;
  sum.generated_tokens += one.generated_tokens;
  sum.preemptions += one.preemptions;
  sum.restarts += one.restarts;
  sum.restart_seconds += one.restart_seconds;
  sum.drafted_tokens += one.drafted_tokens;
  sum.accepted_tokens += one.accepted_tokens;
}

PoolOptions WorkerPool::options() const {
  const std::lock_guard lock(mutex_);
  return options_;
}

int64_t WorkerPool::NumActiveLocked() const {
  return std::count_if(workers_.begin(), workers_.end(), [](const auto& worker) {
    return !worker->leaving && worker->parts.engine->healthy();
  });
}

int64_t WorkerPool::NumFailedLocked() const {
  return num_failed_ + std::count_if(workers_.begin(), workers_.end(), [](const auto& worker) {
           return !worker->parts.engine->healthy();
         });
}

bool WorkerPool::healthy() const {
  const std::lock_guard lock(mutex_);
  return HealthyLocked();
}

bool WorkerPool::lacks_workers() const {
  const std::lock_guard lock(mutex_);
  const auto num_restarting =
      std::count_if(workers_.begin(), workers_.end(),
                    [](const auto& worker) { return !worker->leaving && worker->restarting(); });
  return NumActiveLocked() - num_restarting < options_.min_workers;
}

WorkerGroupStatus WorkerPool::status() const {
  const std::lock_guard lock(mutex_);
  WorkerGroupStatus status{.min_workers = options_.min_workers,
                           .max_workers = options_.max_workers,
                           .workers = {},
                           .num_queued = queue_.size()};
  for (const auto& worker : workers_) {
    if (!worker->parts.engine->healthy()) continue;
    status.workers.push_back(
        {worker->id, worker->start_time, !worker->leaving && !worker->restarting()});
  }
  return status;
}

void WorkerPool::AddLocked(WorkerParts parts) {
  auto worker = std::make_unique<Worker>();
  worker->id = ++last_id_;
  worker->start_time = std::chrono::system_clock::now();
  worker->idle_since = Clock::now();
  worker->parts = std::move(parts);
  workers_.push_back(std::move(worker));
}

// The caller holds making_mutex_.
Status WorkerPool::AddWorker() {
  auto parts = make_worker_(options().max_workers, stop_making_.get_token());
  std::vector<Refused> refused;
  {
    const std::lock_guard lock(mutex_);
    if (!parts.ok()) {
      next_try_ = Clock::now() + kRetryInterval;
      return parts.status();
    }
    AddLocked(std::move(*parts));
    refused = DispatchLocked();
  }
  Deliver(refused);
  return OkStatus();
}

Status WorkerPool::Apply(const Change& change) {
  const std::lock_guard making(making_mutex_);
  int64_t num_missing = 0;
  PoolOptions before;
  {
    const std::lock_guard lock(mutex_);
    before = options_;
    options_.max_workers = change.max_workers;
    options_.min_workers = std::min(change.min_workers, change.max_workers);
    options_.batch_size = change.batch_size;
    options_.max_batch_delay = change.max_batch_delay;
    options_.max_idle_time = change.max_idle_time;
    MarkLeavingLocked();
    num_missing = options_.min_workers - NumActiveLocked();
  }
  for (int64_t i = 0; i < num_missing; ++i) {
    Status added = AddWorker();
    if (added.ok()) continue;
    if (added.code() == StatusCode::kUnsupported) {
      const std::lock_guard lock(mutex_);
      options_ = before;
      MarkLeavingLocked();
    }
    return added;
  }
  return OkStatus();
}

// The first workers stay, up to the most.
void WorkerPool::MarkLeavingLocked() {
  int64_t num_staying = 0;
  for (const auto& worker : workers_) {
    worker->leaving = num_staying >= options_.max_workers;
    if (!worker->leaving && worker->parts.engine->healthy()) ++num_staying;
  }
}

WorkerPool::Workers WorkerPool::TakeEndedLocked(Clock::time_point now) {
  int64_t num_active = NumActiveLocked();
  const bool healthy = HealthyLocked();
  Workers ended;
  for (auto& worker : workers_) {
    const bool failed = !worker->parts.engine->healthy();
    const bool spare =
        num_active > options_.min_workers && now - worker->idle_since >= options_.max_idle_time;
    if (!failed && (worker->num_running > 0 || !(worker->leaving || spare))) continue;
    // Those of a model that has failed stay, as its state.
    if (failed && !healthy) continue;
    if (failed) ++num_failed_;
    if (!failed && !worker->leaving) --num_active;
    AddStats(ended_stats_, worker->parts.engine->stats());
    ended.push_back(std::move(worker));
  }
  std::erase(workers_, nullptr);
  return ended;
}

bool WorkerPool::WantsWorkerLocked() const {
  if (stop_making_.stop_requested() || !HealthyLocked() || Clock::now() < next_try_) return false;
  const int64_t num_active = NumActiveLocked();
  if (num_active < options_.min_workers) return true;
  const bool long_queue = queue_.size() > 2 * options_.batch_size;
  return num_active < options_.max_workers && (long_queue || (num_active == 0 && !queue_.empty()));
}

bool WorkerPool::WantsWorker() const {
  const std::lock_guard lock(mutex_);
  return WantsWorkerLocked();
}

void WorkerPool::StartMaking() {
  const auto make = [this] {
    {
      const std::lock_guard making(making_mutex_);
      // A change of the numbers may have brought the worker meanwhile.
      const Status added = WantsWorker() ? AddWorker() : OkStatus();
      if (!added.ok() && !stop_making_.stop_requested()) {
        LogWarning(fmt::format("no further worker: {}", added.message()));
      }
    }
    const std::lock_guard lock(mutex_);
    making_ = false;
  };
  try {
    maker_ = std::jthread(make);
  } catch (const std::system_error& error) {
    LogWarning(fmt::format("no further worker: the system gives no thread: {}", error.what()));
    const std::lock_guard lock(mutex_);
    making_ = false;
    next_try_ = Clock::now() + kRetryInterval;
  }
}

bool WorkerPool::NeedsTending() const {
  const std::lock_guard lock(mutex_);
  return (WantsWorkerLocked() && !making_) || (options_.batch_size > 1 && !queue_.empty());
}

WorkerPool::Clock::time_point WorkerPool::Tend() {
  const auto now = Clock::now();
  std::vector<Job> cancelled;
  std::vector<Job> hopeless;
  Workers ended;
  std::vector<Refused> refused;
  bool wants_worker = false;
  {
    const std::lock_guard lock(mutex_);
    ended = TakeEndedLocked(now);
    cancelled = queue_.TakeCancelled();
    if (!HealthyLocked()) hopeless = queue_.TakeAll();
    refused = DispatchLocked();
    wants_worker = WantsWorkerLocked() && !making_;
    if (wants_worker) making_ = true;
  }
  EndAll(cancelled, {StatusCode::kCancelled, "the request was cancelled"});
  EndAll(hopeless, {StatusCode::kUnavailable, "the model's workers have failed"});
  Deliver(refused);
  ended.clear();
  if (wants_worker) StartMaking();
  const std::lock_guard lock(mutex_);
  auto next = now + kTendInterval;
  if (options_.batch_size > 1 && !queue_.empty()) {
    next = std::min(next, *queue_.oldest() + options_.max_batch_delay);
  }
  return next;
}

}  // namespace dray::serving
