// The threads of the ranks get a step one part at a time, and the caller waits until all ranks have
// computed the part. So no rank is ahead of the others when the caller abandons a step, and the
// caller may change a step once its last piece is collected.
#include "engine/runner/group_runner.h"

#include <fmt/format.h>

#include <atomic>
#include <cstdint>
#include <exception>
#include <mutex>
#include <thread>
#include <utility>
#include <vector>

#include "base/check.h"
#include "base/threads/worker_set.h"
#include "engine/runner/piece_runner.h"
#include "engine/runner/rank_links.h"
#include "engine/runner/rank_worker.h"

namespace dray::engine {
namespace {

using Connections = std::vector<RankConnections>;
using RankWorkers = std::vector<std::unique_ptr<RankWorker>>;

class GroupComputer final : public StepComputer {
 public:
  GroupComputer(const Backends& backends, Connections connections, RankWorkers ranks)
      : connections_(std::move(connections)), ranks_(std::move(ranks)) {
    for (size_t i = 1; i < ranks_.size(); ++i) {
      threads_.emplace_back([this, i, backend = backends[i]] {
        backend->AdoptThread();
        Work(i);
      });
    }
  }

  ~GroupComputer() override {
    stop_ = true;
    NextOrder();
    for (std::thread& thread : threads_) thread.join();
  }

  // The processors of all ranks belong to the first backend's step (MakeBackends).
  void Begin(const RunnerStep& step) override { ranks_.front()->Begin(step); }

  Status Compute(const StepPart& part, std::span<float> logits) override {
    part_ = part;
    num_busy_.store(static_cast<uint32_t>(threads_.size()), std::memory_order_relaxed);
    NextOrder();
    Run(0, [&] { return ranks_.front()->Compute(part, logits); });
    for (uint32_t busy; (busy = num_busy_.load(std::memory_order_acquire)) != 0;) {
      WaitForChange(num_busy_, busy);
    }
    if (part.is_last) Run(0, [&] { return ranks_.front()->End(); });
    const std::lock_guard lock(mutex_);
    return failure_;
  }

  // The other ranks' steps end when their next one begins: they hold no processors of their own.
  void Abandon() override { ranks_.front()->Abandon(); }

  // After a failure, ranks may have computed different parts of the step.
  FailureScope ScopeOf(const Status&) const override { return FailureScope::kRunner; }

  std::vector<RankTraffic> traffic() const override {
    std::vector<RankTraffic> traffic;
    for (const RankConnections& rank : connections_) traffic.push_back(rank.traffic());
    return traffic;
  }

 private:
  void NextOrder() {
    num_orders_.fetch_add(1, std::memory_order_release);
    num_orders_.notify_all();
  }

  // The thread of a rank.
  void Work(size_t rank) {
    for (uint32_t seen = 0;; ++seen) {
      WaitForChange(num_orders_, seen);
      if (stop_) return;
      Run(rank, [&]() -> Status {
        if (part_.is_first) ranks_[rank]->Begin(*part_.step);
        DRAY_RETURN_IF_ERROR(ranks_[rank]->Compute(part_, {}));
        return part_.is_last ? ranks_[rank]->End() : OkStatus();
      });
      if (num_busy_.fetch_sub(1, std::memory_order_acq_rel) == 1) num_busy_.notify_one();
    }
  }

  // Runs what a rank computes. If it fails, the whole group ends: other ranks may wait for this one.
  template <typename Body>
  void Run(size_t rank, const Body& body) {
    Status status;
    try {
      status = body();
    } catch (const std::exception& error) {
      status = Status(StatusCode::kInternal, error.what());
    }
    if (!status.ok()) Fail(rank, status);
  }

  // Errors of other ranks that follow from the first one are not kept.
  void Fail(size_t rank, const Status& status) {
    const std::lock_guard lock(mutex_);
    if (!failure_.ok()) return;
    failure_ = status.WithPrefix(fmt::format("rank {}", rank));
    connections_[rank].Abort(failure_);
  }

  Connections connections_;
  RankWorkers ranks_;

  // What the ranks' threads compute. They read it when num_orders_ has changed.
  StepPart part_;
  bool stop_ = false;
  alignas(64) std::atomic<uint32_t> num_orders_{0};
  alignas(64) std::atomic<uint32_t> num_busy_{0};  // threads that have not computed part_ yet

  std::mutex mutex_;
  Status failure_;  // the first one; guarded by mutex_
  std::vector<std::thread> threads_;
};

}  // namespace

Result<std::unique_ptr<ModelRunner>> MakeGroupRunner(const LoadedModel& model,
                                                     const Backends& backends,
                                                     const RunnerSpec& spec) {
  DRAY_CHECK(model.num_ranks() > 1 && backends.size() == model.ranks.size());
  const model::ModelConfig& config = model.description.config;
  const RunnerSpec small = WithSmallPieces(spec, config.vocab_size);
  DRAY_ASSIGN_OR_RETURN(Connections connections, ConnectRanks(model, backends, small));
  RankWorkers ranks;
  for (size_t i = 0; i < model.ranks.size(); ++i) {
    auto rank = RankWorker::Make(config, model.ranks[i], backends[i], small,
                                 connections[i].communicator.get());
    if (!rank.ok()) return rank.status().WithPrefix(fmt::format("rank {}", i));
    ranks.push_back(std::move(*rank));
  }
  return MakePieceRunner(
      std::make_unique<GroupComputer>(backends, std::move(connections), std::move(ranks)), small,
      config.vocab_size);
}

}  // namespace dray::engine
