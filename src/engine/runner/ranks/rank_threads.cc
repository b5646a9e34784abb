#include "engine/runner/ranks/rank_threads.h"

#include <fmt/format.h>

#include <utility>

#include "base/threads/worker_set.h"
#include "engine/runner/ranks/rank_thread.h"

namespace dray::engine {

RankThreads::RankThreads(std::vector<RankConnections> connections, Body body)
    : connections_(std::move(connections)), body_(std::move(body)) {}

Status RankThreads::Start(const Backends& backends) {
  for (size_t i = 1; i < backends.size(); ++i) {
    DRAY_RETURN_IF_ERROR(StartRankThread(threads_, i, backends[i], [this, i] { Work(i); }));
  }
  return OkStatus();
}

RankThreads::~RankThreads() {
  stop_ = true;
  BeginRound();
  threads_.Join();
}

Status RankThreads::Round() {
  num_busy_.store(static_cast<uint32_t>(threads_.size()), std::memory_order_relaxed);
  BeginRound();
  Run(0, [&] { return body_(0); });
  for (uint32_t busy; (busy = num_busy_.load(std::memory_order_acquire)) != 0;) {
    WaitForChange(num_busy_, busy);
  }
  return failure();
}

Status RankThreads::failure() const {
  const std::lock_guard lock(mutex_);
  return failure_;
}

std::vector<RankTraffic> RankThreads::traffic() const {
  std::vector<RankTraffic> traffic;
  for (const RankConnections& rank : connections_) traffic.push_back(rank.traffic());
  return traffic;
}

void RankThreads::BeginRound() {
  num_rounds_.fetch_add(1, std::memory_order_release);
  num_rounds_.notify_all();
}

void RankThreads::Work(size_t rank) {
  for (uint32_t seen = 0;; ++seen) {
    WaitForChange(num_rounds_, seen);
    if (stop_) return;
    Run(rank, [&] { return body_(rank); });
    if (num_busy_.fetch_sub(1, std::memory_order_acq_rel) == 1) num_busy_.notify_one();
  }
}

// Errors of other ranks that follow from the first one are not kept.
void RankThreads::Fail(size_t rank, const Status& status) {
  const std::lock_guard lock(mutex_);
  if (!failure_.ok()) return;
  failure_ = status.WithPrefix(fmt::format("rank {}", rank));
  connections_[rank].Abort(failure_);
}

}  // namespace dray::engine
