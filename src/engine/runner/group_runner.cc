// The ranks compute a step one part at a time (rank_threads.h). So no rank is ahead of the others when the
// caller abandons a step, and the caller may change a step once its last piece is collected.
#include "engine/runner/group_runner.h"

#include <fmt/format.h>

#include <utility>
#include <vector>

#include "base/check.h"
#include "engine/runner/piece_runner.h"
#include "engine/runner/rank_worker.h"
#include "engine/runner/ranks/rank_links.h"
#include "engine/runner/ranks/rank_threads.h"

namespace dray::engine {
namespace {

using Connections = std::vector<RankConnections>;
using RankWorkers = std::vector<std::unique_ptr<RankWorker>>;

class GroupComputer final : public StepComputer {
 public:
  GroupComputer(Connections connections, RankWorkers ranks)
      : ranks_(std::move(ranks)),
        threads_(std::move(connections), [this](size_t rank) { return RunPart(rank); }) {}

  // Called once, before the first step.
  Status StartThreads(const Backends& backends) { return threads_.Start(backends); }

  // The processors of all ranks belong to the first backend's step (MakeBackends).
  void Begin(const RunnerStep& step) override { ranks_.front()->Begin(step); }

  Status Compute(const StepPart& part, model::RowResults out) override {
    part_ = part;
    out_ = out;
    Status status = threads_.Round();
    if (!part.is_last) return status;
    return threads_.RunFirst([this] { return ranks_.front()->End(); });
  }

  // The other ranks' steps end when their next one begins: they hold no processors of their own.
  void Abandon() override { ranks_.front()->Abandon(); }

  // After a failure, ranks may have computed different parts of the step.
  FailureScope ScopeOf(const Status&) const override { return FailureScope::kRunner; }

  std::vector<RankTraffic> traffic() const override { return threads_.traffic(); }

 private:
  // What a rank does with the part. The first rank's step begins before its first part, and ends when all
  // ranks are done.
  Status RunPart(size_t rank) {
    RankWorker& worker = *ranks_[rank];
    if (rank == 0) return worker.Compute(part_, out_);
    if (part_.is_first) worker.Begin(*part_.step);
    DRAY_RETURN_IF_ERROR(worker.Compute(part_, {}));
    return part_.is_last ? worker.End() : OkStatus();
  }

  RankWorkers ranks_;
  // What the ranks compute in a round.
  StepPart part_;
  model::RowResults out_;
  RankThreads threads_;
};

}  // namespace

Result<std::unique_ptr<ModelRunner>> MakeGroupRunner(const LoadedModel& model,
                                                     const Backends& backends,
                                                     const RunnerSpec& spec) {
  DRAY_CHECK(model.num_ranks() > 1 && backends.size() == model.ranks.size());
  const model::ModelConfig& config = model.description.config;
  const RunnerSpec small = WithSmallPieces(spec, config);
  DRAY_ASSIGN_OR_RETURN(Connections connections, ConnectRanks(model, backends, small));
  RankWorkers ranks;
  for (size_t i = 0; i < model.ranks.size(); ++i) {
    auto rank = RankWorker::Make(config, model.ranks[i], backends[i], small,
                                 connections[i].communicator.get());
    if (!rank.ok()) return rank.status().WithPrefix(fmt::format("rank {}", i));
    ranks.push_back(std::move(*rank));
  }
  auto computer = std::make_unique<GroupComputer>(std::move(connections), std::move(ranks));
  DRAY_RETURN_IF_ERROR(computer->StartThreads(backends));
  return MakePieceRunner(std::move(computer), small, config);
}

}  // namespace dray::engine
