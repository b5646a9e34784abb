#include "serving/load/offload.h"

#include <fmt/format.h>

#include <algorithm>
#include <filesystem>
#include <string>
#include <system_error>
#include <vector>

#include "artifact/manifest.h"
#include "base/human.h"
#include "base/machine/memory_info.h"
#include "checkpoint/weight_files.h"
#include "engine/partition.h"
#include "engine/runner/artifact/offload.h"

namespace dray::serving {
namespace {

namespace fs = std::filesystem;

std::vector<fs::path> WeightFilesOf(const fs::path& model) {
  if (artifact::IsArtifact(model)) return {model / artifact::kDataName};
  auto weights = checkpoint::FindWeightFiles(model);
  return weights.ok() ? std::move(weights->files) : std::vector<fs::path>();
}

// What weights may take, and from which size on they are not in memory as a whole.
struct Room {
  int64_t limit = 0;
  int64_t largest = 0;
};

// Without a setting: what is free. Then a key/value cache without a size of its own, which takes a quarter of what
// is free, gets that quarter before weights of which not all fit do.
Room RoomForWeights(const settings::ModelSettings& settings, const MemoryBudget* budget) {
  if (settings.max_memory_bytes > 0) return {settings.max_memory_bytes, settings.max_memory_bytes};
  const int64_t available = budget == nullptr
                                ? AvailableMemoryBytes()
                                : budget->available_bytes() - (settings.reserved_memory_mb << 20);
  const int64_t free = std::max<int64_t>(0, available - settings.kv_cache_bytes);
  return {settings.kv_cache_bytes > 0 ? free : free - free / 4, free};
}

std::string Human(int64_t bytes) { return HumanBytes(static_cast<uint64_t>(bytes)); }

}  // namespace

int64_t WeightFileBytes(const fs::path& model) {
  int64_t bytes = 0;
  for (const fs::path& file : WeightFilesOf(model)) {
    std::error_code error;
    const uint64_t size = fs::file_size(file, error);
    if (!error) bytes += static_cast<int64_t>(size);
  }
  return bytes;
}

Status PrepareOffload(const settings::ModelSettings& settings, const MemoryBudget* budget,
                      const fs::path& modules, engine::LoadModelOptions& load, ModelFiles& files) {
  if (load.load_format == engine::LoadFormat::kDummy) return OkStatus();
  const bool is_artifact = artifact::IsArtifact(load.model_dir);
  const Room room = RoomForWeights(settings, budget);
  int64_t weights = WeightFileBytes(load.model_dir);
  // No form of weights takes more than eight times the bytes of another one.
  if (weights <= room.largest / 8) return OkStatus();
  if (!is_artifact) {
    DRAY_ASSIGN_OR_RETURN(weights, engine::ExpectedWeightBytes(load, weights));
  }
  if (weights <= room.largest) return OkStatus();
  if (!is_artifact && !settings.offload_dir.empty()) {
    DRAY_RETURN_IF_ERROR(engine::EnsureArtifact({.load = load,
                                                 .tokenizer = files.tokenizer,
                                                 .modules = modules,
                                                 .output = settings.offload_dir}));
    load.model_dir = files.model = settings.offload_dir;
  } else if (!is_artifact) {
    return {
        StatusCode::kResourceExhausted,
        fmt::format("{}: the weights take about {}, but {} is {}: set offload_dir to a folder on "
                    "a disk with room for them, from which the model then runs, quantize to a "
                    "smaller form, or unregister other models",
                    load.model_dir.string(), Human(weights),
                    settings.max_memory_bytes > 0 ? "max_memory" : "the free memory",
                    Human(room.limit))};
  }
  load.max_memory_bytes = room.limit;
  return OkStatus();
}

}  // namespace dray::serving
