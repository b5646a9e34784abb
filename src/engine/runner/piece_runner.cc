// Logits are computed piece by piece from the output of the forward pass, which the next forward
// pass would overwrite, so no second step can begin before the first is collected. Submit therefore
// only remembers the step: it needs no queue and no copy.
#include "engine/runner/piece_runner.h"

#include <algorithm>
#include <chrono>
#include <utility>
#include <vector>

#include "base/check.h"
#include "engine/runner/result_buffer.h"

namespace dray::engine {
namespace {

// Logits are computed for as many rows at once as fit this many bytes, on the device and on the
// host: enough for the head's weights to be shared by many rows, small beside any model.
constexpr int64_t kLogitsBytes = int64_t{16} << 20;

using Clock = std::chrono::steady_clock;

class PieceRunner final : public ModelRunner {
 public:
  PieceRunner(std::unique_ptr<StepComputer> computer, int64_t rows_at_once,
              const model::ModelConfig& config)
      : computer_(std::move(computer)),
        rows_at_once_(static_cast<size_t>(rows_at_once)),
        results_(rows_at_once, config) {}

  size_t max_steps_in_flight() const override { return 1; }

  void Submit(const RunnerStep& step) override {
    DRAY_CHECK(step_ == nullptr);
    step_ = &step;
    num_done_ = 0;
    has_begun_ = false;
  }

  StepPiece Collect() override {
    DRAY_CHECK(step_ != nullptr);
    const auto rows = std::span(step_->logit_rows).subspan(num_done_);
    const auto now = rows.first(std::min(rows.size(), rows_at_once_));
    const model::RowResults results = results_.Of(now.size(), *step_);
    const StepPart part = {.step = step_,
                           .rows = now,
                           .is_first = !std::exchange(has_begun_, true),
                           .is_last = now.size() == rows.size()};
    if (part.is_first) {
      computer_->Begin(*step_);
      start_ = Clock::now();
    }
    Status status = computer_->Compute(part, results);
    const double seconds = std::chrono::duration<double>(Clock::now() - start_).count();
    if (part.is_last || !status.ok()) Abandon();
    if (!status.ok()) {
      const FailureScope scope = computer_->ScopeOf(status);
      return {.status = std::move(status), .scope = scope, .is_last = true, .seconds = seconds};
    }
    const auto first = static_cast<int64_t>(num_done_);
    num_done_ += now.size();
    return {.first = first,
            .num_rows = static_cast<int64_t>(now.size()),
            .logits = results.logits,
            .states = results.states,
            .is_last = part.is_last,
            .seconds = seconds};
  }

  void Abandon() override {
    computer_->Abandon();
    step_ = nullptr;
  }

  Result<std::vector<RankTraffic>> ReadTraffic() override { return computer_->traffic(); }

 private:
  std::unique_ptr<StepComputer> computer_;
  size_t rows_at_once_;
  ResultBuffer results_;

  // The step in flight.
  const RunnerStep* step_ = nullptr;
  size_t num_done_ = 0;  // how many of its logit_rows are computed
  bool has_begun_ = false;
  Clock::time_point start_;
};

}  // namespace

RunnerSpec WithSmallPieces(const RunnerSpec& spec, const model::ModelConfig& config) {
  const int64_t width =
      config.kind == model::ModelKind::kEncoder ? RowWidths::Of(config).sum() : config.vocab_size;
  const int64_t row_bytes = width * static_cast<int64_t>(sizeof(float));
  RunnerSpec small = spec;
  small.step.max_logit_rows =
      std::clamp<int64_t>(kLogitsBytes / row_bytes, 1, spec.step.max_logit_rows);
  return small;
}

std::unique_ptr<ModelRunner> MakePieceRunner(std::unique_ptr<StepComputer> computer,
                                             const RunnerSpec& spec,
                                             const model::ModelConfig& config) {
  return std::make_unique<PieceRunner>(std::move(computer), spec.step.max_logit_rows, config);
}

}  // namespace dray::engine
