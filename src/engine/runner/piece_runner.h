// A runner that computes one step at a time, in Collect, and cuts its logits into pieces. One rank
// and a group of ranks are both behind it, as a StepComputer.
#pragma once

#include <cstdint>
#include <memory>
#include <span>

#include "base/status.h"
#include "engine/runner/model_runner.h"
#include "engine/runner/rank_worker.h"
#include "parallel/communicator.h"

namespace dray::engine {

// Computes the parts of a step, one after the other, on all ranks.
class StepComputer {
 public:
  virtual ~StepComputer() = default;

  // Waits for the processors of all ranks and begins a step.
  virtual void Begin(const RunnerStep& step) = 0;
  // Computes a part of the step. `out` gets what its rows give. After the last part the step is over.
  virtual Status Compute(const StepPart& part, model::RowResults out) = 0;
  // Ends a step of which not all parts were computed.
  virtual void Abandon() = 0;
  // How much ends if Compute returns this error.
  virtual FailureScope ScopeOf(const Status& failure) const = 0;
  // Between two steps: as ModelRunner::ReadTraffic.
  virtual std::vector<RankTraffic> traffic() const { return {}; }
};

// `spec`, with so few rows in a piece that their results take little memory.
RunnerSpec WithSmallPieces(const RunnerSpec& spec, const model::ModelConfig& config);

// `spec` is one of WithSmallPieces for the model of `config`.
std::unique_ptr<ModelRunner> MakePieceRunner(std::unique_ptr<StepComputer> computer,
                                             const RunnerSpec& spec,
                                             const model::ModelConfig& config);

}  // namespace dray::engine
