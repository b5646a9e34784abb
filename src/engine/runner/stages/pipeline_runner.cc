// Each rank has a thread, which computes the submitted steps in their order: it receives the
// residual stream from the stage before, computes its layers, and sends the stream on. The ranks of
// the last stage then compute logits, a piece whenever the caller collects one, until the step's
// last piece; only then do they begin the next step.
#include "engine/runner/stages/pipeline_runner.h"

#include <fmt/format.h>

#include <algorithm>
#include <chrono>
#include <condition_variable>
#include <cstdint>
#include <exception>
#include <mutex>
#include <optional>
#include <span>
#include <utility>
#include <vector>

#include "base/check.h"
#include "base/threads/helper_threads.h"
#include "engine/runner/piece_runner.h"
#include "engine/runner/rank_worker.h"
#include "engine/runner/ranks/rank_links.h"
#include "engine/runner/ranks/rank_thread.h"
#include "engine/runner/result_buffer.h"
#include "engine/runner/stages/stage_pass.h"

namespace dray::engine {
namespace {

using Clock = std::chrono::steady_clock;

struct PipelineRank {
  RankConnections connections;  // outlives the worker
  std::unique_ptr<RankWorker> worker;
};

class PipelineRunner final : public ModelRunner {
 public:
  PipelineRunner(const LoadedModel& model, const RunnerSpec& spec, std::vector<PipelineRank> ranks)
      : num_stages_(static_cast<size_t>(model.num_stages)),
        ranks_in_stage_(static_cast<size_t>(model.ranks_in_stage())),
        rows_at_once_(static_cast<size_t>(spec.step.max_logit_rows)),
        ranks_(std::move(ranks)),
        submitted_(num_stages_),
        results_(spec.step.max_logit_rows, model.description.config) {}

  ~PipelineRunner() override {
    Abandon();
    {
      const std::lock_guard lock(mutex_);
      stop_ = true;
    }
    changed_.notify_all();
    threads_.Join();
  }

  // Starts the threads; called once, before the first step. kResourceExhausted, naming the rank, if the system gives no
  // more of them; there may be no steps then.
  Status Start(const Backends& backends) {
    for (size_t rank = 0; rank < ranks_.size(); ++rank) {
      DRAY_RETURN_IF_ERROR(
          StartRankThread(threads_, rank, backends[rank], [this, rank] { Work(rank); }));
    }
    return OkStatus();
  }

  size_t max_steps_in_flight() const override { return num_stages_; }

  void Submit(const RunnerStep& step) override {
    {
      const std::lock_guard lock(mutex_);
      DRAY_CHECK(num_submitted_ - num_collected_ < num_stages_);
      submitted_[num_submitted_ % num_stages_] = {&step, Clock::now()};
      ++num_submitted_;
    }
    changed_.notify_all();
  }

  StepPiece Collect() override {
    std::unique_lock lock(mutex_);
    DRAY_CHECK(num_collected_ < num_submitted_);
    const Submitted& oldest = submitted_[num_collected_ % num_stages_];
    const auto rows = std::span(oldest.step->logit_rows).subspan(num_done_);
    const auto now = rows.first(std::min(rows.size(), rows_at_once_));
    piece_ = {.step = oldest.step, .rows = now, .is_last = now.size() == rows.size()};
    ++num_pieces_;
    num_busy_ = ranks_in_stage_;
    changed_.notify_all();
    changed_.wait(lock, [&] { return failure_.ok() ? PieceIsDone() : AllHaveEnded(); });
    // While the step waited for steps before it, it was not computed.
    const Clock::time_point end = Clock::now();
    const auto begin = std::max(oldest.time, last_end_);
    const double seconds = std::chrono::duration<double>(end - begin).count();
    if (!failure_.ok()) {
      return {
          .status = failure_, .scope = FailureScope::kRunner, .is_last = true, .seconds = seconds};
    }
    const model::RowResults results = results_.Of(now.size(), *oldest.step);
    StepPiece piece = {.first = static_cast<int64_t>(num_done_),
                       .num_rows = static_cast<int64_t>(now.size()),
                       .logits = results.logits,
                       .states = results.states,
                       .is_last = piece_.is_last,
                       .seconds = seconds};
    num_done_ += now.size();
    if (piece.is_last) {
      ++num_collected_;
      num_done_ = 0;
      last_end_ = end;
    }
    return piece;
  }

  // Waits until the ranks have left the steps in flight, so that the caller may change them.
  void Abandon() override {
    std::unique_lock lock(mutex_);
    num_abandoned_ = num_submitted_;
    changed_.notify_all();
    changed_.wait(lock,
                  [&] { return failure_.ok() ? AllHaveFinished(num_submitted_) : AllHaveEnded(); });
    num_collected_ = num_submitted_;
    num_done_ = 0;
  }

  Result<std::vector<RankTraffic>> ReadTraffic() override {
    // All ranks have finished the steps that are collected, and wait for the next one.
    const std::lock_guard lock(mutex_);
    DRAY_CHECK(num_collected_ == num_submitted_);
    if (!failure_.ok()) return failure_;
    std::vector<RankTraffic> traffic;
    for (const PipelineRank& rank : ranks_) traffic.push_back(rank.connections.traffic());
    return traffic;
  }

 private:
  struct Submitted {
    const RunnerStep* step = nullptr;
    Clock::time_point time;
  };

  bool AllHaveFinished(size_t num_steps) const {
    return std::all_of(num_finished_.begin(), num_finished_.end(),
                       [&](size_t finished) { return finished >= num_steps; });
  }

  // With its last piece a step is over at all ranks, and none has found an error in it.
  bool PieceIsDone() const {
    return piece_.is_last ? AllHaveFinished(num_collected_ + 1) : num_busy_ == 0;
  }

  // After a failure, no rank reads a step any more.
  bool AllHaveEnded() const { return num_ended_ == ranks_.size(); }

  // The thread of a rank.
  void Work(size_t rank) {
    RunSteps(rank);
    const std::lock_guard lock(mutex_);
    ++num_ended_;
    changed_.notify_all();
  }

  void RunSteps(size_t rank) {
    size_t num_pieces = 0;  // that this rank has seen
    for (size_t n = 0;; ++n) {
      const RunnerStep* step = AwaitStep(n);
      if (step == nullptr) return;
      Status status;
      try {
        status = RunStep(rank, n, *step, num_pieces);
      } catch (const std::exception& error) {
        status = Status(StatusCode::kInternal, error.what());
      }
      if (!status.ok()) return Fail(rank, status);
      const std::lock_guard lock(mutex_);
      num_finished_[rank] = n + 1;
      changed_.notify_all();
    }
  }

  // The n-th step, once it is submitted; null if the runner ends.
  const RunnerStep* AwaitStep(size_t n) {
    std::unique_lock lock(mutex_);
    changed_.wait(lock, [&] { return stop_ || !failure_.ok() || num_submitted_ > n; });
    return stop_ || !failure_.ok() ? nullptr : submitted_[n % num_stages_].step;
  }

  Status RunStep(size_t rank, size_t n, const RunnerStep& step, size_t& num_pieces) {
    RankWorker& worker = *ranks_[rank].worker;
    worker.Begin(step);
    DRAY_RETURN_IF_ERROR(PassStage(worker, ranks_[rank].connections, step));
    if (rank / ranks_in_stage_ < num_stages_ - 1) return worker.End();
    return RunPieces(rank, n, num_pieces);
  }

  // Computes the logits of a step at a rank of the last stage.
  Status RunPieces(size_t rank, size_t n, size_t& num_pieces) {
    RankWorker& worker = *ranks_[rank].worker;
    while (const auto piece = AwaitPiece(n, num_pieces)) {
      const bool has_results = rank % ranks_in_stage_ == 0;
      const auto results =
          has_results ? results_.Of(piece->rows.size(), *piece->step) : model::RowResults();
      DRAY_RETURN_IF_ERROR(worker.Compute(*piece, results));
      if (piece->is_last) DRAY_RETURN_IF_ERROR(worker.End());
      FinishPiece();
      if (piece->is_last) return OkStatus();
    }
    worker.Abandon();
    return OkStatus();
  }

  // The next piece of the n-th step that the caller collects; nothing if the step is abandoned.
  std::optional<StepPart> AwaitPiece(size_t n, size_t& num_pieces) {
    std::unique_lock lock(mutex_);
    changed_.wait(lock,
                  [&] { return num_pieces_ > num_pieces || num_abandoned_ > n || !failure_.ok(); });
    if (num_abandoned_ > n || !failure_.ok()) {
      num_pieces = num_pieces_;
      return std::nullopt;
    }
    ++num_pieces;
    return piece_;
  }

  void FinishPiece() {
    const std::lock_guard lock(mutex_);
    --num_busy_;
    changed_.notify_all();
  }

  // Ends the runner: every rank may wait for another one.
  void Fail(size_t rank, const Status& status) {
    const std::lock_guard lock(mutex_);
    if (failure_.ok()) failure_ = status.WithPrefix(fmt::format("rank {}", rank));
    for (const PipelineRank& other : ranks_) other.connections.Abort(failure_);
    changed_.notify_all();
  }

  const size_t num_stages_;
  const size_t ranks_in_stage_;
  const size_t rows_at_once_;
  std::vector<PipelineRank> ranks_;

  std::mutex mutex_;
  std::condition_variable changed_;
  // Guarded by mutex_. Steps are numbered in the order in which they were submitted.
  std::vector<Submitted> submitted_;  // [n % num_stages_]: step n
  size_t num_submitted_ = 0;
  size_t num_collected_ = 0;
  size_t num_abandoned_ = 0;  // steps before this one have no more pieces
  std::vector<size_t> num_finished_ = std::vector<size_t>(ranks_.size());  // [rank]
  StepPart piece_;                                                         // that is collected
  size_t num_pieces_ = 0;                                                  // collected so far
  size_t num_busy_ = 0;   // ranks of the last stage that have not computed piece_ yet
  size_t num_ended_ = 0;  // ranks whose threads have ended
  Status failure_;        // the first one
  bool stop_ = false;

  // Of the caller.
  size_t num_done_ = 0;         // rows of the oldest step that are collected
  Clock::time_point last_end_;  // when the step before the oldest was collected
  ResultBuffer results_;        // written by the last stage's first rank
  HelperThreads threads_;
};

}  // namespace

Result<std::unique_ptr<ModelRunner>> MakePipelineRunner(const LoadedModel& model,
                                                        const Backends& backends,
                                                        const RunnerSpec& spec) {
  DRAY_CHECK(model.num_stages > 1 && backends.size() == model.ranks.size());
  const model::ModelConfig& config = model.description.config;
  const RunnerSpec small = WithSmallPieces(spec, config);
  DRAY_ASSIGN_OR_RETURN(auto connections, ConnectRanks(model, backends, small));
  std::vector<PipelineRank> ranks;
  for (size_t i = 0; i < model.ranks.size(); ++i) {
    auto worker = RankWorker::Make(config, model.ranks[i], backends[i], small,
                                   connections[i].communicator.get());
    if (!worker.ok()) return worker.status().WithPrefix(fmt::format("rank {}", i));
    ranks.push_back({std::move(connections[i]), std::move(*worker)});
  }
  auto runner = std::make_unique<PipelineRunner>(model, small, std::move(ranks));
  DRAY_RETURN_IF_ERROR(runner->Start(backends));
  return std::unique_ptr<ModelRunner>(std::move(runner));
}

}  // namespace dray::engine
