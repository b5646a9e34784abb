// Steps go to all ranks at once, and the pieces of their logits come from the first rank of the last
// stage, in the order of the steps. So the front waits for one process only; the others are watched
// by RankProcesses.
#include "engine/runner/processes/process_runner.h"

#include <algorithm>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <mutex>
#include <span>
#include <utility>
#include <vector>

#include "base/check.h"
#include "engine/runner/piece_runner.h"
#include "engine/runner/processes/rank_wiring.h"
#include "engine/runner/processes/wire/step_codec.h"

namespace dray::engine {
namespace {

using Clock = std::chrono::steady_clock;

constexpr size_t kHeaderFloats = sizeof(PieceHeader) / sizeof(float);

class ProcessRunner final : public ModelRunner {
 public:
  ProcessRunner(const LoadedModel& model, const RunnerSpec& spec, FrontLinks links,
                std::unique_ptr<RankProcesses> processes)
      : bounds_(StepBounds::Of(model.description.config, spec)),
        last_rank_(model.num_ranks() - model.ranks_in_stage()),
        submitted_(static_cast<size_t>(model.num_stages)),
        piece_(kHeaderFloats +
               static_cast<size_t>(spec.step.max_logit_rows * bounds_.widths.sum())),
        links_(std::move(links)),
        processes_(std::move(processes)) {
    order_.reserve(static_cast<size_t>(MaxStepBytes(spec)));
    processes_->OnFailure([this](const Status& reason) {
      links_.results->Abort(reason);
      for (const auto& order : links_.orders) order->Abort(reason);
      TellFailure(reason);
    });
  }

  // The ranks of an MPI job end in order, all together; other processes are just ended.
  ~ProcessRunner() override {
    if (!processes_->is_job()) return;
    Abandon();
    processes_->ExpectEnd();
    for (const auto& order : links_.orders) {
      if (failure_.ok()) static_cast<void>(order->Send({}));
    }
  }

  size_t max_steps_in_flight() const override { return submitted_.size(); }

  void Submit(const RunnerStep& step) override {
    DRAY_CHECK(num_submitted_ - num_collected_ < submitted_.size());
    const RowWidths widths = bounds_.widths.OfStep(step);
    submitted_[num_submitted_ % submitted_.size()] = {
        .results = {.num_rows = static_cast<int64_t>(step.logit_rows.size()),
                    .row_width = widths.sum()},
        .widths = widths,
        .time = Clock::now()};
    ++num_submitted_;
    if (!failure_.ok()) return;
    EncodeStep(step, order_);
    SendOrder(order_);
  }

  StepPiece Collect() override {
    DRAY_CHECK(num_collected_ < num_submitted_);
    const Submitted& oldest = submitted_[num_collected_ % submitted_.size()];
    auto header = Receive(oldest.results);
    // While the step waited for steps before it, it was not computed.
    const Clock::time_point end = Clock::now();
    const double seconds =
        std::chrono::duration<double>(end - std::max(oldest.time, last_end_)).count();
    if (!header.ok()) {
      EndStep(end);
      return {.status = header.status(),
              .scope = FailureScope::kRunner,
              .is_last = true,
              .seconds = seconds};
    }
    const auto num_rows = static_cast<size_t>(header->num_rows);
    const size_t count = num_rows * static_cast<size_t>(oldest.results.row_width);
    const model::RowResults results =
        DivideResults(std::span(piece_).subspan(kHeaderFloats, count), num_rows, oldest.widths);
    StepPiece piece = {.first = header->first,
                       .num_rows = header->num_rows,
                       .logits = results.logits,
                       .states = results.states,
                       .is_last = header->is_last != 0,
                       .seconds = seconds};
    num_done_ += header->num_rows;
    if (piece.is_last) EndStep(end);
    return piece;
  }

  // The ranks compute abandoned steps to their ends. Their pieces are taken, so that those of the
  // next step come first.
  void Abandon() override {
    while (num_collected_ < num_submitted_ && failure_.ok()) static_cast<void>(Collect());
    num_collected_ = num_submitted_;
    num_done_ = 0;
  }

  Result<std::vector<RankTraffic>> ReadTraffic() override {
    DRAY_CHECK(num_collected_ == num_submitted_);
    if (failure_.ok()) SendOrder(kReportOrder);
    if (!failure_.ok()) return failure_;
    auto traffic = processes_->AwaitTraffic();
    failure_ = traffic.status();
    return traffic;
  }

  bool replaceable() const override { return processes_->may_be_started_again(); }

  Status failure() const override {
    const std::lock_guard lock(mutex_);
    return told_;
  }
  void OnFailure(const std::function<void()>& notify) override {
    const std::lock_guard lock(mutex_);
    notify_ = notify;
    if (!told_.ok() && notify_) notify_();
  }

 private:
  // Called by the thread that watches the processes.
  void TellFailure(const Status& reason) {
    const std::lock_guard lock(mutex_);
    told_ = reason;
    if (notify_) notify_();
  }

  struct Submitted {
    StepResults results;
    RowWidths widths;
    Clock::time_point time;
  };

  void EndStep(Clock::time_point now) {
    ++num_collected_;
    num_done_ = 0;
    last_end_ = now;
  }

  // Gives an order to all ranks.
  void SendOrder(std::span<const std::byte> bytes) {
    for (const auto& order : links_.orders) {
      const Status sent = order->Send(bytes);
      if (sent.ok()) continue;
      failure_ = processes_->Explain(sent);
      return;
    }
  }

  // Receives the next piece of a step.
  Result<PieceHeader> Receive(const StepResults& results) {
    if (!failure_.ok()) return failure_;
    const auto bytes = std::as_writable_bytes(std::span(piece_));
    const auto size = links_.results->Receive(bytes);
    if (!size.ok()) return failure_ = processes_->Explain(size.status());
    auto header = DecodePiece(bytes.first(static_cast<size_t>(*size)), num_done_, results, bounds_);
    if (header.ok()) return header;
    return failure_ = processes_->Explain(
               header.status().WithPrefix("rank " + std::to_string(last_rank_)));
  }

  const StepBounds bounds_;
  const int64_t last_rank_;           // the one that sends the logits
  std::vector<Submitted> submitted_;  // [n % stages]: step n
  size_t num_submitted_ = 0;
  size_t num_collected_ = 0;
  int64_t num_done_ = 0;        // rows of the oldest step that are collected
  Clock::time_point last_end_;  // when the step before the oldest was collected
  std::vector<std::byte> order_;
  std::vector<float> piece_;  // a PieceHeader, and behind it the results
  Status failure_;
  FrontLinks links_;

  mutable std::mutex mutex_;
  // Guarded by mutex_.
  Status told_;  // why the processes have failed
  std::function<void()> notify_;

  std::unique_ptr<RankProcesses> processes_;  // ends first: its thread uses the links
};

}  // namespace

Result<std::unique_ptr<ModelRunner>> MakeProcessRunner(const LoadedModel& model,
                                                       RankLauncher& launcher,
                                                       const RunnerSpec& spec) {
  const RunnerSpec small = WithSmallPieces(spec, model.description.config);
  DRAY_ASSIGN_OR_RETURN(auto processes, launcher.Take());
  DRAY_ASSIGN_OR_RETURN(FrontLinks links, ConnectProcesses(model, small, *processes));
  return std::unique_ptr<ModelRunner>(
      std::make_unique<ProcessRunner>(model, small, std::move(links), std::move(processes)));
}

}  // namespace dray::engine
