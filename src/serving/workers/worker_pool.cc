// How requests get to workers; worker_pool_scaling.cc has how workers come and go.
#include "serving/workers/worker_pool.h"

#include <algorithm>
#include <utility>

namespace dray::serving {

// Passes a request's start and events on, and tells the pool when it is over.
class WorkerPool::Sink final : public engine::EventSink {
 public:
  Sink(WorkerPool& pool, int64_t worker_id, std::shared_ptr<Generation> generation)
      : pool_(pool), worker_id_(worker_id), generation_(std::move(generation)) {}

  void OnStart() override { generation_->OnStart(); }

  void OnEvent(engine::Event event) override {
    const bool over = std::holds_alternative<engine::RequestEndEvent>(event);
    generation_->OnEvent(std::move(event));
    if (over) pool_.OnOver(worker_id_);
  }

 private:
  WorkerPool& pool_;
  const int64_t worker_id_;
  const std::shared_ptr<Generation> generation_;
};

WorkerPool::WorkerPool(const PoolOptions& options, std::vector<WorkerParts> first,
                       WorkerMaker make_worker)
    : make_worker_(std::move(make_worker)), options_(options) {
  for (WorkerParts& parts : first) AddLocked(std::move(parts));
}

WorkerPool::~WorkerPool() {
  StopMaking();
  maker_ = {};
  Workers workers;
  std::vector<Job> jobs;
  {
    const std::lock_guard lock(mutex_);
    stopping_ = true;
    jobs = queue_.TakeAll();
    std::swap(workers, workers_);
  }
  EndAll(jobs, {StatusCode::kCancelled, "the server is shutting down"});
  // The engines' last events come while they are destroyed here.
  workers.clear();
}

Status WorkerPool::Submit(Job job) {
  const std::shared_ptr<Generation> mine = job.generation;
  std::vector<Refused> refused;
  {
    const std::lock_guard lock(mutex_);
    queue_.Push(std::move(job));
    refused = DispatchLocked();
  }
  Status status;
  std::erase_if(refused, [&](Refused& one) {
    const bool is_mine = one.generation == mine;
    if (is_mine) status = std::move(one.status);
    return is_mine;
  });
  Deliver(refused);
  return status;
}

std::vector<WorkerPool::Refused> WorkerPool::DispatchLocked() {
  std::vector<Refused> refused;
  if (stopping_) return refused;
  while (!queue_.empty()) {
    Worker* const worker = FreeWorkerLocked();
    if (worker == nullptr) break;
    const int64_t count = std::min(options_.batch_size, queue_.size());
    for (int64_t i = 0; i < count; ++i) StartLocked(*worker, queue_.Pop(), refused);
  }
  return refused;
}

// The worker that has most room; null if none has any, or if it is too early for a batch.
WorkerPool::Worker* WorkerPool::FreeWorkerLocked() {
  const bool batches = options_.batch_size > 1;
  if (batches && !BatchIsDueLocked()) return nullptr;
  const int64_t room = batches ? 1 : options_.max_running;
  Worker* best = nullptr;
  for (const auto& worker : workers_) {
    if (worker->leaving || worker->num_running >= room || !worker->parts.engine->healthy())
      continue;
    if (best == nullptr || worker->num_running < best->num_running) best = worker.get();
  }
  return best;
}

bool WorkerPool::BatchIsDueLocked() const {
  return queue_.size() >= options_.batch_size ||
         Clock::now() - *queue_.oldest() >= options_.max_batch_delay;
}

void WorkerPool::StartLocked(Worker& worker, Job job, std::vector<Refused>& refused) {
  ++worker.num_running;
  engine::Engine& engine = *worker.parts.engine;
  const auto id = engine.Submit(std::move(job.request),
                                std::make_shared<Sink>(*this, worker.id, job.generation));
  if (id.ok()) {
    job.generation->SetStarted(engine, *id);
    return;
  }
  --worker.num_running;
  refused.push_back({std::move(job.generation), id.status()});
}

void WorkerPool::OnOver(int64_t worker_id) {
  std::vector<Refused> refused;
  {
    const std::lock_guard lock(mutex_);
    for (const auto& worker : workers_) {
      if (worker->id != worker_id) continue;
      --worker->num_running;
      worker->idle_since = Clock::now();
    }
    refused = DispatchLocked();
  }
  Deliver(refused);
}

void WorkerPool::EndAll(const std::vector<Job>& jobs, const Status& status) {
  for (const Job& job : jobs) job.generation->OnEvent(engine::RequestEndEvent{status});
}

void WorkerPool::Deliver(const std::vector<Refused>& refused) {
  for (const Refused& one : refused) one.generation->OnEvent(engine::RequestEndEvent{one.status});
}

engine::EngineStats WorkerPool::stats() const {
  const std::lock_guard lock(mutex_);
  engine::EngineStats sum = ended_stats_;
  for (const auto& worker : workers_) {
    const engine::EngineStats one = worker->parts.engine->stats();
    AddStats(sum, one);
    sum.running_sequences += one.running_sequences;
    sum.waiting_sequences += one.waiting_sequences;
    sum.free_blocks += one.free_blocks;
    sum.restarting += one.restarting;
    sum.total_blocks += one.total_blocks;
  }
  return sum;
}

}  // namespace dray::serving
