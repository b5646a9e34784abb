#include "engine/runner/local_runner.h"

#include <utility>

#include "base/check.h"
#include "engine/runner/piece_runner.h"
#include "engine/runner/rank_worker.h"

namespace dray::engine {
namespace {

class LocalComputer final : public StepComputer {
 public:
  explicit LocalComputer(std::unique_ptr<RankWorker> rank) : rank_(std::move(rank)) {}

  void Begin(const RunnerStep& step) override { rank_->Begin(step); }

  Status Compute(const StepPart& part, model::RowResults out) override {
    DRAY_RETURN_IF_ERROR(rank_->Compute(part, out));
    return part.is_last ? rank_->End() : OkStatus();
  }

  void Abandon() override { rank_->Abandon(); }

  // kInternal is a fault of the device, after which nothing is known of its state. kCorrupt says that the
  // weights are not what they were. All other errors mean that the backend refused an operation, for
  // example because memory is short.
  FailureScope ScopeOf(const Status& failure) const override {
    const bool is_lasting =
        failure.code() == StatusCode::kInternal || failure.code() == StatusCode::kCorrupt;
    return is_lasting ? FailureScope::kRunner : FailureScope::kStep;
  }

 private:
  std::unique_ptr<RankWorker> rank_;
};

}  // namespace

Result<std::unique_ptr<ModelRunner>> MakeLocalRunner(const LoadedModel& model,
                                                     std::shared_ptr<kernels::Backend> backend,
                                                     const RunnerSpec& spec) {
  DRAY_CHECK(model.num_ranks() == 1);
  const model::ModelConfig& config = model.description.config;
  const RunnerSpec small = WithSmallPieces(spec, config);
  DRAY_ASSIGN_OR_RETURN(auto rank,
                        RankWorker::Make(config, model.ranks.front(), std::move(backend), small));
  return MakePieceRunner(std::make_unique<LocalComputer>(std::move(rank)), small, config);
}

}  // namespace dray::engine
