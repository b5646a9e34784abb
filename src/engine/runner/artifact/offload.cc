#include "engine/runner/artifact/offload.h"

#include <fmt/format.h>

#include <utility>

#include "artifact/placement/copy_ranges.h"
#include "artifact/placement/data_memory.h"
#include "artifact/placement/unit_stream.h"
#include "base/human.h"
#include "base/log.h"
#include "model/describe/model_files.h"
#include "model/weights/offload/offload_plan.h"

namespace dray::engine {
namespace {

// With a few reads at a time a disk is at its rate.
constexpr int kReaders = 4;

// Of a weight, without the scales of integers.
int64_t BitsOf(kernels::WeightFormat format) {
  switch (format) {
    case kernels::WeightFormat::kF32:
      return 32;
    case kernels::WeightFormat::kF16:
    case kernels::WeightFormat::kBF16:
      return 16;
    case kernels::WeightFormat::kI8:
      return 8;
    case kernels::WeightFormat::kI4:
      return 4;
  }
  return 32;
}

bool SharesAllMatrices(const RankModel& rank) {
  bool shares = true;
  rank.weights.ForEach([&](model::Slot slot, int64_t layer, int64_t, size_t) {
    const kernels::WeightMatrix* matrix = rank.weights.Matrix(slot, layer);
    if (matrix != nullptr && !matrix->is_shared()) shares = false;
  });
  return shares;
}

Status CheckSharing(const LoadedModel& model) {
  for (const RankModel& rank : model.ranks) {
    if (SharesAllMatrices(rank)) continue;
    return {StatusCode::kUnsupported, fmt::format("the weights do not fit into max_memory, and at "
                                                  "tensor_parallel_degree {} ranks must copy "
                                                  "parts of them, so that they cannot stay on the "
                                                  "disk: set tensor_parallel_degree to 1, or "
                                                  "raise max_memory",
                                                  model.ranks_in_stage())};
  }
  return OkStatus();
}

void LogOffload(const OffloadFacts& facts, const std::string& path) {
  const auto human = [](int64_t bytes) { return HumanBytes(static_cast<uint64_t>(bytes)); };
  LogWarning(
      fmt::format("{}: the weights do not fit into the {} that they may take; {} of them are read "
                  "from the disk "
                  "for every step, so a token takes at least as long as the disk needs for that",
                  path, human(facts.limit_bytes), human(facts.streamed_bytes)));
}

}  // namespace

Result<int64_t> ExpectedWeightBytes(const LoadModelOptions& options, int64_t file_bytes) {
  if (!options.format || !options.quantized_by.empty()) return file_bytes;
  DRAY_ASSIGN_OR_RETURN(const auto description, model::DescribeModelFiles(options.model_dir));
  return description.num_parameters() * BitsOf(options.format->format) / 8;
}

Status OffloadWeights(LoadedModel& model,
                      const std::shared_ptr<const artifact::MappedArtifact>& artifact,
                      int64_t max_memory_bytes, const std::stop_token& stop) {
  DRAY_RETURN_IF_ERROR(CheckSharing(model));
  DRAY_ASSIGN_OR_RETURN(const auto plan,
                        model::PlanOffload(artifact->manifest(),
                                           {.num_layers = model.description.config.stack.num_layers,
                                            .num_stages = model.num_stages,
                                            .limit_bytes = max_memory_bytes},
                                           artifact->DataPath()));
  DRAY_ASSIGN_OR_RETURN(auto opened,
                        artifact::DataMemory::Open(artifact, artifact::ReadThrough::kDevice));
  const auto memory = std::make_shared<const artifact::DataMemory>(std::move(opened));
  // First the streamed ranges, whose pages of the mapping go with that.
  for (const auto& units : plan.stages) {
    DRAY_ASSIGN_OR_RETURN(
        auto stream,
        artifact::UnitStream::Start(memory, units, static_cast<size_t>(model.ranks_in_stage())));
    model.streams.push_back(std::move(stream));
  }
  DRAY_RETURN_IF_ERROR(
      artifact::CopyRanges(*memory, plan.resident, {.num_threads = kReaders, .stop = stop}));
  for (RankModel& rank : model.ranks) {
    rank.stream = model.streams[static_cast<size_t>(rank.stage.index)].get();
  }
  model.offload = OffloadFacts{.limit_bytes = max_memory_bytes,
                               .memory_bytes = plan.memory_bytes,
                               .streamed_bytes = plan.streamed_bytes};
  LogOffload(*model.offload, artifact->DataPath());
  return OkStatus();
}

}  // namespace dray::engine
