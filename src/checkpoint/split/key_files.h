// The folders that transformers-neuronx's save_pretrained_split writes: "pytorch_model.bin" is a
// folder in which torch.save has put each tensor into a file of its own, and key_to_filename.json
// says which.
#pragma once

#include <filesystem>
#include <string>
#include <utility>
#include <vector>

#include "base/status.h"

namespace dray::checkpoint {

inline constexpr const char* kKeyFilesIndex = "key_to_filename.json";

// Tensor names and the names of their files, in the order of the index. The names are plain: no
// file lies outside of the index's folder. kCorrupt, naming the index and the entry, if it is
// unsound; kUnsupported for files that hold no tensor (".empty_json").
Result<std::vector<std::pair<std::string, std::string>>> ReadKeyFiles(
    const std::filesystem::path& index);

}  // namespace dray::checkpoint
