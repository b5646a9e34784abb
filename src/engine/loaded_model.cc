#include "engine/loaded_model.h"

#include <chrono>
#include <utility>

#include "checkpoint/checkpoint.h"
#include "model/loader.h"
#include "model/tied_head.h"

namespace dray::engine {

Result<std::unique_ptr<LoadedModel>> LoadModel(const LoadModelOptions& options) {
  const auto start = std::chrono::steady_clock::now();
  DRAY_ASSIGN_OR_RETURN(auto description, model::ReadModelDescription(options.model_dir));
  DRAY_ASSIGN_OR_RETURN(
      auto checkpoint,
      checkpoint::Checkpoint::Open(options.model_dir, {.forbid_pickle = options.forbid_pickle}));
  model::SettleTiedHead(checkpoint, description);
  DRAY_ASSIGN_OR_RETURN(auto backend, kernels::MakeCpuBackend({.num_threads = options.num_threads,
                                                               .isa = options.isa}));
  DRAY_ASSIGN_OR_RETURN(const auto plan, model::PlanTensors(description, checkpoint));
  const auto format = options.format.value_or(model::AutomaticFormat(plan, *backend));
  model::LoadOptions load_options = {.format = format, .progress = options.progress};
  DRAY_ASSIGN_OR_RETURN(auto weights,
                        model::LoadWeights(description, plan, checkpoint, *backend, load_options));
  const std::chrono::duration<double> elapsed = std::chrono::steady_clock::now() - start;
  return std::make_unique<LoadedModel>(
      LoadedModel{.backend = std::move(backend),
                  .description = std::move(description),
                  .weights = std::move(weights),
                  .format = format,
                  .checkpoint_format = std::string(checkpoint.format()),
                  .checkpoint_bytes = checkpoint.total_bytes(),
                  .load_seconds = elapsed.count()});
}

}  // namespace dray::engine
