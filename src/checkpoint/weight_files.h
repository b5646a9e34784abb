// Which files of a model directory hold its weights, decided by their names as the transformers
// library does, and which files a GGUF file's name stands for; what is in them is for their readers
// to say.
#pragma once

#include <cstdint>
#include <filesystem>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/status.h"
#include "checkpoint/shard_index.h"
#include "checkpoint/split/faster_transformer.h"

namespace dray::checkpoint {

enum class FileFormat {
  kSafetensors,
  kTorch,
  kGguf,
  kTorchTensors,  // a torch file for each tensor (split/key_files.h)
  kDeepSpeed,     // torch files with the slices of each rank (split/deepspeed.h)
  kRawSlices,     // split/faster_transformer.h
};
// "safetensors", "torch" or "gguf", or the program that writes such files.
std::string_view Name(FileFormat format);
// Whether the files are pickles.
bool IsPickle(FileFormat format);

struct WeightFiles {
  FileFormat format = FileFormat::kSafetensors;
  std::vector<std::filesystem::path> files;  // sorted by name; all exist
  std::filesystem::path index_path;          // empty if there is no index
  std::optional<ShardIndex> index;           // likewise
  // [i]: the name of the tensor in files[i]; of kTorchTensors.
  std::vector<std::string> tensor_names = {};
  // [i]: the rank whose slices are in files[i], out of num_slices; of kDeepSpeed.
  std::vector<int64_t> ranks = {};
  int64_t num_slices = 1;
  std::optional<FasterTransformerFolder> raw = std::nullopt;  // of kRawSlices
};

// Of a directory the first of: model.safetensors, its index, pytorch_model.bin (a file, or a folder of
// tensors), its index, ds_inference_config.json, a folder of FasterTransformer, the only *.safetensors
// file, the only *.bin file, the only GGUF model. Of a .gguf file that file, or all parts of the model
// if it is one of several ("-00002-of-00003.gguf"). kNotFound if there are none, or if a file is
// missing that an index names.
Result<WeightFiles> FindWeightFiles(const std::filesystem::path& path);

}  // namespace dray::checkpoint
