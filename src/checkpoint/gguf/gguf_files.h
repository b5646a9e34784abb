// Which GGUF files make one model, by their names: one file, or parts that end in
// "-00001-of-00003.gguf". Separate from weight_files.h because these rules are llama.cpp's.
#pragma once

#include <filesystem>
#include <vector>

#include "base/status.h"

namespace dray::checkpoint {

// A GGUF model's metadata as a JSON file, in a folder that has the model in another form.
inline constexpr const char* kGgufMetadataName = "gguf-metadata.json";

// Whether `path` is a GGUF file rather than a directory: by its name alone.
bool IsGgufFile(const std::filesystem::path& path);
// The directory in which the files beside the weights lie: `path` itself, or a GGUF file's.
std::filesystem::path ModelDir(const std::filesystem::path& path);

// All parts of the model that `file` is, or is a part of, in their order. kNotFound, naming the
// first one that is missing.
Result<std::vector<std::filesystem::path>> FindGgufParts(const std::filesystem::path& file);

// The GGUF files of a directory that may be language models, sorted by name; of a model in parts
// the first part alone. Those whose names begin with "mmproj" are left out: they go beside one.
Result<std::vector<std::filesystem::path>> ListGgufModels(const std::filesystem::path& dir);

}  // namespace dray::checkpoint
