#include "engine/runner/loaded_model.h"

#include <fmt/format.h>

#include <chrono>
#include <optional>
#include <string_view>
#include <utility>

#include "checkpoint/checkpoint.h"
#include "model/describe/model_files.h"
#include "model/weights/dummy_weights.h"
#include "model/weights/loader.h"
#include "model/weights/smoothing.h"

namespace dray::engine {
namespace {

// Always the same number, so that the random weights are always the same.
constexpr uint64_t kDummySeed = 20220914;

Status CheckQuantizedBy(const LoadModelOptions& options,
                        const model::ModelDescription& description) {
  using Order = checkpoint::PackedFormat::Order;
  const std::string_view method = !description.packed                        ? "not quantised"
                                  : description.packed->order == Order::kAwq ? "awq"
                                                                             : "gptq";
  if (options.quantized_by.empty() || options.quantized_by == method) return OkStatus();
  return {
      StatusCode::kInvalidArgument,
      fmt::format("{}: quantize is {}, but by its configuration the checkpoint is {}; remove the "
                  "setting: a quantised checkpoint is read as it is",
                  options.model_dir.string(), options.quantized_by, method)};
}

Result<model::Smoothing> MakeSmoothing(const SmoothingOptions& options,
                                       const model::ModelDescription& description,
                                       const model::LoadPlan& plan) {
  DRAY_ASSIGN_OR_RETURN(const auto calibration,
                        model::ReadCalibration(options.calibration_file, description.config));
  return model::Smoothing::Make(description, plan, calibration, options.alpha);
}

Result<std::unique_ptr<LoadedModel>> LoadFiles(const LoadModelOptions& options,
                                               model::ModelFiles& files) {
  auto& [description, checkpoint] = files;
  DRAY_ASSIGN_OR_RETURN(auto backend, BackendOf(options));
  DRAY_ASSIGN_OR_RETURN(const auto plan, model::PlanTensors(description, checkpoint));
  DRAY_RETURN_IF_ERROR(CheckQuantizedBy(options, description));
  const bool known = !options.quantized_by.empty();
  const bool keep = !options.format || known;
  model::LoadOptions load_options = {
      .format = options.format.value_or(model::AutomaticFormat(plan, backend->packer())),
      .table_format = known ? options.format : options.table_format,
      .integers = keep ? model::StoredIntegers::kKeep : model::StoredIntegers::kConvert,
      .progress = options.progress};
  std::optional<model::Smoothing> smoothing;
  if (options.smoothing) {
    DRAY_ASSIGN_OR_RETURN(smoothing, MakeSmoothing(*options.smoothing, description, plan));
    load_options.smoothing = &*smoothing;
  }
  DRAY_ASSIGN_OR_RETURN(auto weights,
                        model::LoadWeights(description, plan, checkpoint, *backend, load_options));
  return std::make_unique<LoadedModel>(
      LoadedModel{.backend = std::move(backend),
                  .description = std::move(description),
                  .weights = std::move(weights),
                  .format = load_options.format,
                  .table_format = load_options.TableFormat(),
                  .checkpoint_format = std::string(checkpoint.format()),
                  .checkpoint_bytes = checkpoint.total_bytes()});
}

// All but the time that it took.
Result<std::unique_ptr<LoadedModel>> LoadFromCheckpoint(const LoadModelOptions& options) {
  DRAY_ASSIGN_OR_RETURN(
      auto files,
      model::OpenModelFiles(options.model_dir, {.forbid_pickle = options.forbid_pickle}));
  auto model = LoadFiles(options, files);
  // That a file changed meanwhile explains any other error.
  if (!model.ok()) DRAY_RETURN_IF_ERROR(files.checkpoint.CheckUnchanged());
  return model;
}

Result<std::unique_ptr<LoadedModel>> MakeDummy(const LoadModelOptions& options) {
  if (options.smoothing) {
    return Status(
        StatusCode::kInvalidArgument,
        "smoothquant needs a checkpoint, but load_format is dummy: use dynamic_int8, which takes "
        "the same time");
  }
  DRAY_ASSIGN_OR_RETURN(auto description, model::DescribeModelFiles(options.model_dir));
  DRAY_ASSIGN_OR_RETURN(auto backend, BackendOf(options));
  const model::LoadOptions load_options = {.format = options.format.value_or(model::AutomaticFormat(
                                               description.config, backend->packer())),
                                           .table_format = options.table_format,
                                           .progress = options.progress};
  DRAY_ASSIGN_OR_RETURN(auto weights,
                        model::MakeDummyWeights(description, *backend, load_options, kDummySeed));
  return std::make_unique<LoadedModel>(LoadedModel{.backend = std::move(backend),
                                                   .description = std::move(description),
                                                   .weights = std::move(weights),
                                                   .format = load_options.format,
                                                   .table_format = load_options.TableFormat(),
                                                   .checkpoint_format = "dummy"});
}

}  // namespace

Result<std::shared_ptr<kernels::Backend>> BackendOf(const LoadModelOptions& options) {
  if (options.backend != nullptr) return options.backend;
  DRAY_ASSIGN_OR_RETURN(auto backend, kernels::MakeBackend(options.backend_options));
  return std::shared_ptr<kernels::Backend>(std::move(backend));
}

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
