#include "engine/testing/test_runners.h"

#include "base/check.h"
#include "engine/runner/make_runner.h"

namespace dray::engine {

void HoldingRunner::Submit(const RunnerStep& step) {
  DRAY_CHECK(held_.size() < options_.max_in_flight);
  if (!held_.empty() && options_.num_overlaps != nullptr) ++*options_.num_overlaps;
  held_.push_back({.step = &step, .ids = step.batch.ids, .pieces = {}});
  if (options_.time == ComputeTime::kInSubmit) Compute(held_.back());
}

StepPiece HoldingRunner::Collect() {
  DRAY_CHECK(!held_.empty());
  HeldStep& oldest = held_.front();
  DRAY_CHECK(oldest.step->batch.ids == oldest.ids);
  if (oldest.pieces.empty()) Compute(oldest);
  logits_ = std::move(oldest.pieces.front().logits);
  StepPiece piece = oldest.pieces.front().piece;
  piece.logits = logits_;
  oldest.pieces.pop_front();
  if (piece.is_last) held_.pop_front();
  return piece;
}

void HoldingRunner::Compute(HeldStep& held) {
  inner_->Submit(*held.step);
  for (bool more = true; more;) {
    const StepPiece piece = inner_->Collect();
    held.pieces.push_back({piece, {piece.logits.begin(), piece.logits.end()}});
    more = !piece.is_last;
  }
}

StepPiece FailingRunner::Collect() {
  StepPiece piece = inner_->Collect();
  bool is_last = piece.is_last;
  spoil_(step_idx_, piece);
  const bool over = !piece.status.ok() && piece.scope != FailureScope::kRequest;
  while (over && !is_last) is_last = inner_->Collect().is_last;
  if (is_last) ++step_idx_;
  return piece;
}

RunnerMaker HoldingRunners(const HoldingOptions& options) {
  return [=](LoadedModel& model, const RunnerSpec& spec) -> Result<std::unique_ptr<ModelRunner>> {
    DRAY_ASSIGN_OR_RETURN(auto inner, MakeRunner(model, spec));
    return std::unique_ptr<ModelRunner>(std::make_unique<HoldingRunner>(std::move(inner), options));
  };
}

RunnerMaker FailingRunners(const FailingRunner::Spoil& spoil, const RunnerMaker& make,
                           Replaceable replaceable) {
  return [=](LoadedModel& model, const RunnerSpec& spec) -> Result<std::unique_ptr<ModelRunner>> {
    DRAY_ASSIGN_OR_RETURN(auto inner, make(model, spec));
    return std::unique_ptr<ModelRunner>(
        std::make_unique<FailingRunner>(std::move(inner), spoil, replaceable));
  };
}

}  // namespace dray::engine
