// The folders that FasterTransformer's converters write: "<ranks>-gpu", with a config.ini and a file
// for each tensor, "model.<name>.bin", or for each slice of one, "model.<name>.<rank>.bin". The
// files hold numbers alone, so the model must say what shapes they have.
#pragma once

#include <cstdint>
#include <filesystem>
#include <optional>
#include <string>
#include <vector>

#include "base/mapped_file.h"
#include "base/status.h"
#include "checkpoint/split/ini_file.h"
#include "checkpoint/split/split_tensor.h"
#include "tensor/dtype.h"

namespace dray::checkpoint {

struct FasterTransformerFolder {
  std::filesystem::path path;  // of the folder with config.ini
  std::string section;         // of config.ini: "gpt", "gptj", "gptneox"
  std::map<std::string, std::string> values;
  DType dtype = DType::kF32;  // of all numbers
  int64_t num_slices = 1;
  std::vector<std::filesystem::path> files;  // the "model.*.bin" files, sorted by name

  std::filesystem::path config_path() const { return path / "config.ini"; }
  // kInvalidArgument if config.ini has the key with another value than `expected`, which another
  // file says.
  Status CheckSize(const std::string& key, int64_t expected) const;
};

// Nothing if `dir` is no such folder and has none in it; of several in it ("1-gpu", "2-gpu"), which
// hold the same model, the one with the fewest slices. Errors name the file and what is wrong: no
// config.ini, one of an encoder and a decoder, an unknown number format.
Result<std::optional<FasterTransformerFolder>> FindFasterTransformer(
    const std::filesystem::path& dir);

// The file, or the files of all ranks, that hold the tensor; empty if there is none. kNotFound,
// naming the file, if one rank's slice is missing.
Result<std::vector<std::filesystem::path>> FilesOf(const FasterTransformerFolder& folder,
                                                   const SplitTensor& tensor);

// A mapped file as a slice of `tensor`. kInvalidArgument, naming the file, if its size is not that
// of the slice.
Result<TensorSource> RawSlice(const FasterTransformerFolder& folder, const SplitTensor& tensor,
                              const MappedFile& file);

}  // namespace dray::checkpoint
