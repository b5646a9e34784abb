#include "engine/loaded_model.h"

#include <chrono>
#include <utility>

#include "checkpoint/checkpoint.h"
#include "model/dummy_weights.h"
#include "model/loader.h"
#include "model/model_files.h"

namespace dray::engine {
namespace {

kernels::CpuBackendOptions BackendOptions(const LoadModelOptions& options) {
  return {.num_threads = options.num_threads,
          .isa = options.isa,
          .num_prompt_threads = options.num_prompt_threads,
          .pin_threads = options.pin_threads};
}

// Any number would do, as long as it is always the same.
constexpr uint64_t kDummySeed = 20220914;

Result<std::shared_ptr<kernels::Backend>> FindBackend(const LoadModelOptions& options) {
  if (options.backend != nullptr) return options.backend;
  DRAY_ASSIGN_OR_RETURN(auto backend, kernels::MakeCpuBackend(BackendOptions(options)));
  return std::shared_ptr<kernels::Backend>(std::move(backend));
}

// All but the time that it took.
Result<std::unique_ptr<LoadedModel>> LoadFromCheckpoint(const LoadModelOptions& options) {
  DRAY_ASSIGN_OR_RETURN(
      auto files,
      model::OpenModelFiles(options.model_dir, {.forbid_pickle = options.forbid_pickle}));
  auto& [description, checkpoint] = files;
  DRAY_ASSIGN_OR_RETURN(auto backend, FindBackend(options));
  DRAY_ASSIGN_OR_RETURN(const auto plan, model::PlanTensors(description, checkpoint));
  const auto format = options.format.value_or(model::AutomaticFormat(plan, *backend));
  const auto integers =
      options.format ? model::StoredIntegers::kConvert : model::StoredIntegers::kKeep;
  model::LoadOptions load_options = {
      .format = format, .integers = integers, .progress = options.progress};
  DRAY_ASSIGN_OR_RETURN(auto weights,
                        model::LoadWeights(description, plan, checkpoint, *backend, load_options));
  return std::make_unique<LoadedModel>(
      LoadedModel{.backend = std::move(backend),
                  .description = std::move(description),
                  .weights = std::move(weights),
                  .format = format,
                  .checkpoint_format = std::string(checkpoint.format()),
                  .checkpoint_bytes = checkpoint.total_bytes()});
}

Result<std::unique_ptr<LoadedModel>> MakeDummy(const LoadModelOptions& options) {
  DRAY_ASSIGN_OR_RETURN(auto description, model::DescribeModelFiles(options.model_dir));
  DRAY_ASSIGN_OR_RETURN(auto backend, FindBackend(options));
  const auto format = options.format.value_or(model::AutomaticFormat(description.config, *backend));
  DRAY_ASSIGN_OR_RETURN(
      auto weights,
      model::MakeDummyWeights(description, *backend,
                              {.format = format, .progress = options.progress}, kDummySeed));
  return std::make_unique<LoadedModel>(LoadedModel{.backend = std::move(backend),
                                                   .description = std::move(description),
                                                   .weights = std::move(weights),
                                                   .format = format,
                                                   .checkpoint_format = "dummy"});
}

}  // namespace

Result<std::unique_ptr<LoadedModel>> LoadModel(const LoadModelOptions& options) {
  const auto start = std::chrono::steady_clock::now();
  auto model =
      options.load_format == LoadFormat::kDummy ? MakeDummy(options) : LoadFromCheckpoint(options);
  if (!model.ok()) return model;
  const std::chrono::duration<double> elapsed = std::chrono::steady_clock::now() - start;
  (*model)->load_seconds = elapsed.count();
  return model;
}

}  // namespace dray::engine
