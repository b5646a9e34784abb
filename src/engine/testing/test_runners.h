// Runners for tests of what the engine does around one: HoldingRunner holds results back, so that
// several steps are in flight; FailingRunner spoils results.
#pragma once

#include <cstddef>
#include <cstdint>
#include <deque>
#include <functional>
#include <memory>
#include <utility>
#include <vector>

#include "engine/runner/model_runner.h"

namespace dray::engine {

// When a HoldingRunner computes a step: as soon, or as late, as a runner may.
enum class ComputeTime { kInSubmit, kInCollect };

struct HoldingOptions {
  size_t max_in_flight = 1;
  ComputeTime time = ComputeTime::kInSubmit;
  // If not null, counts the steps that are submitted while others are in flight.
  int64_t* num_overlaps = nullptr;
};

class HoldingRunner final : public ModelRunner {
 public:
  HoldingRunner(std::unique_ptr<ModelRunner> inner, const HoldingOptions& options)
      : inner_(std::move(inner)), options_(options) {}

  size_t max_steps_in_flight() const override { return options_.max_in_flight; }
  void Submit(const RunnerStep& step) override;
  // Checks that the caller has left the step as it was.
  StepPiece Collect() override;
  void Abandon() override { held_.clear(); }
  bool replaceable() const override { return inner_->replaceable(); }

 private:
  struct HeldPiece {
    StepPiece piece;
    std::vector<float> logits;
  };
  struct HeldStep {
    const RunnerStep* step = nullptr;
    std::vector<int32_t> ids;  // as they were submitted
    std::deque<HeldPiece> pieces;
  };
  void Compute(HeldStep& held);

  std::unique_ptr<ModelRunner> inner_;
  HoldingOptions options_;
  std::deque<HeldStep> held_;
  std::vector<float> logits_;  // of the piece handed out last
};

// Whether another runner can take the place of a failed one.
enum class Replaceable { kNo, kYes };

class FailingRunner final : public ModelRunner {
 public:
  // Called with each piece, and the number of its step from 0; changes it as it likes.
  using Spoil = std::function<void(int64_t step_idx, StepPiece& piece)>;

  FailingRunner(std::unique_ptr<ModelRunner> inner, Spoil spoil, Replaceable replaceable)
      : inner_(std::move(inner)), spoil_(std::move(spoil)), replaceable_(replaceable) {}

  size_t max_steps_in_flight() const override { return inner_->max_steps_in_flight(); }
  void Submit(const RunnerStep& step) override { inner_->Submit(step); }
  StepPiece Collect() override;
  void Abandon() override { inner_->Abandon(); }
  bool replaceable() const override { return replaceable_ == Replaceable::kYes; }

 private:
  std::unique_ptr<ModelRunner> inner_;
  Spoil spoil_;
  Replaceable replaceable_;
  int64_t step_idx_ = 0;
};

// Makers for EngineCore::Make and StartEngine.
RunnerMaker HoldingRunners(const HoldingOptions& options);
// Spoils what `make` makes.
RunnerMaker FailingRunners(const FailingRunner::Spoil& spoil, const RunnerMaker& make,
                           Replaceable replaceable = Replaceable::kNo);

}  // namespace dray::engine
