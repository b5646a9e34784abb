// Which files of a model directory hold its weights, decided by their names as the transformers
// library does; what is in them is for their readers to say.
#pragma once

#include <filesystem>
#include <optional>
#include <string_view>
#include <vector>

#include "base/status.h"
#include "checkpoint/shard_index.h"

namespace dray::checkpoint {

enum class WeightFormat { kSafetensors, kTorch };
// "safetensors" or "torch".
std::string_view Name(WeightFormat format);

struct WeightFiles {
  WeightFormat format = WeightFormat::kSafetensors;
  std::vector<std::filesystem::path> files;  // sorted by name; all exist
  std::filesystem::path index_path;          // empty if there is no index
  std::optional<ShardIndex> index;           // likewise
};

// The first of: model.safetensors, its index, pytorch_model.bin, its index, the only *.safetensors
// file, the only *.bin file. kNotFound if there are none, or if a shard that the index names is
// missing.
Result<WeightFiles> FindWeightFiles(const std::filesystem::path& dir);

}  // namespace dray::checkpoint
