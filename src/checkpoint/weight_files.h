// Which files of a model directory hold its weights, decided by their names as the transformers
// library does, and which files a GGUF file's name stands for; what is in them is for their readers
// to say.
#pragma once

#include <filesystem>
#include <optional>
#include <string_view>
#include <vector>

#include "base/status.h"
#include "checkpoint/shard_index.h"

namespace dray::checkpoint {

enum class FileFormat { kSafetensors, kTorch, kGguf };
// "safetensors", "torch" or "gguf".
std::string_view Name(FileFormat format);

struct WeightFiles {
  FileFormat format = FileFormat::kSafetensors;
  std::vector<std::filesystem::path> files;  // sorted by name; all exist
  std::filesystem::path index_path;          // empty if there is no index
  std::optional<ShardIndex> index;           // likewise
};

// Of a directory the first of: model.safetensors, its index, pytorch_model.bin, its index, the only
// *.safetensors file, the only *.bin file, the only GGUF model. Of a .gguf file that file, or all
// parts of the model if it is one of several ("-00002-of-00003.gguf"). kNotFound if there are none,
// or if a shard that the index names, or a part, is missing.
Result<WeightFiles> FindWeightFiles(const std::filesystem::path& path);

}  // namespace dray::checkpoint
