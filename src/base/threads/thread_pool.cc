#include "base/threads/thread_pool.h"

#include <pthread.h>

#include <atomic>
#include <utility>

#include "base/check.h"
#include "base/machine/cpu_info.h"

namespace dray {

namespace {

int NumThreads(int wanted) { return wanted > 0 ? wanted : UsableCpuCount(); }

}  // namespace

ThreadPool::ThreadPool(int num_threads, Pinning pinning)
    : workers_(WorkerSet::OfProcess()),
      home_(workers_->Join(NumThreads(num_threads), pinning).value()),
      active_(home_.places),
      team_(workers_->NewTeam()) {}

ThreadPool::ThreadPool(std::shared_ptr<WorkerSet> workers, WorkerSet::Home home, GroupTurns turns)
    : workers_(std::move(workers)),
      home_(std::move(home)),
      active_(home_.places),
      turns_(turns),
      team_(workers_->NewTeam()) {}

Result<std::unique_ptr<ThreadPool>> ThreadPool::Make(int num_threads, Pinning pinning) {
  std::shared_ptr<WorkerSet> workers = WorkerSet::OfProcess();
  DRAY_ASSIGN_OR_RETURN(auto home, workers->Join(NumThreads(num_threads), pinning));
  return std::unique_ptr<ThreadPool>(
      new ThreadPool(std::move(workers), std::move(home), GroupTurns::kTogether));
}

Result<std::vector<std::unique_ptr<ThreadPool>>> ThreadPool::MakeGroup(
    const WorkerSet::GroupSpec& spec) {
  const std::shared_ptr<WorkerSet> workers = WorkerSet::OfProcess();
  DRAY_ASSIGN_OR_RETURN(auto homes, workers->JoinGroup(spec));
  std::vector<std::unique_ptr<ThreadPool>> pools;
  std::vector<WorkPlace*> all;
  for (WorkerSet::Home& home : homes) {
    all.insert(all.end(), home.places.begin(), home.places.end());
    pools.emplace_back(new ThreadPool(workers, std::move(home), spec.turns));
    pools.back()->group_.emplace();
  }
  if (spec.turns == GroupTurns::kTogether) pools.front()->group_ = std::move(all);
  return pools;
}

ThreadPool::~ThreadPool() {
  workers_->ReturnTeam(team_);
  if (turns_ == GroupTurns::kNone) workers_->LeaveOwnPlaces(home_.places);
}

void ThreadPool::UseThreads(int num_threads) {
  DRAY_CHECK(!in_turn_ && num_threads >= 1 && num_threads <= max_threads());
  if (num_threads == this->num_threads()) return;
  active_.clear();  // keeps its memory
  for (int i = 0; i < num_threads; ++i) {
    active_.push_back(home_.places[static_cast<size_t>(int64_t{i} * max_threads() / num_threads)]);
  }
}

void ThreadPool::BeginTurn() {
  DRAY_CHECK(!in_turn_);
  workers_->turns().Take(turn_places(), steps_);
  in_turn_ = true;
}

void ThreadPool::EndTurn() {
  DRAY_CHECK(in_turn_);
  in_turn_ = false;
  workers_->turns().Return(turn_places(), steps_);
}

void ThreadPool::BindCaller() const {
  if (!home_.caller_cpus.empty()) BindThread(pthread_self(), home_.caller_cpus);
}

void ThreadPool::RunErased(Team::Region region, const void* context) {
  const bool own_turn = !in_turn_;
  if (own_turn) workers_->turns().Take(active_, regions_);
  team_->region = region;
  team_->context = context;
  team_->pending.store(static_cast<uint32_t>(num_threads() - 1), std::memory_order_relaxed);
  for (size_t i = 1; i < active_.size(); ++i) {
    WorkerSet::Post(*active_[i], team_, static_cast<int>(i));
  }
  region(context, 0);
  for (uint32_t left; (left = team_->pending.load(std::memory_order_acquire)) != 0;) {
    WaitForChange(team_->pending, left);
  }
  if (own_turn) workers_->turns().Return(active_, regions_);
}

void ThreadPool::TouchShares(std::byte* memory, int64_t size_bytes) {
  constexpr int64_t kPageBytes = 4096;
  Run([&](int thread_idx) {
    const auto [begin, end] = Share(size_bytes, thread_idx);
    // Atomic, since neighbours may meet in one page.
    for (int64_t i = begin; i < end; i += kPageBytes) {
      std::atomic_ref<std::byte>(memory[i]).store(std::byte{0}, std::memory_order_relaxed);
    }
  });
}

void ThreadPool::Barrier() {
  const auto members = static_cast<uint32_t>(num_threads());
  if (members == 1) return;
  const uint32_t phase = team_->barrier_phase.load(std::memory_order_acquire);
  if (team_->barrier_count.fetch_add(1, std::memory_order_acq_rel) + 1 == members) {
    team_->barrier_count.store(0, std::memory_order_relaxed);
    team_->barrier_phase.fetch_add(1, std::memory_order_release);
    team_->barrier_phase.notify_all();
    return;
  }
  WaitForChange(team_->barrier_phase, phase);
}

}  // namespace dray
