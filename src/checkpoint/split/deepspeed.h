// DeepSpeed's description of a checkpoint, ds_inference_config.json: either the shards of a whole
// model ("pp"), or, as save_mp_checkpoint_path writes them, files with the slices of each
// tensor-parallel rank ("tp") and files with what is not cut.
#pragma once

#include <cstdint>
#include <filesystem>
#include <string>
#include <vector>

#include "base/status.h"
#include "checkpoint/split/split_tensor.h"

namespace dray::checkpoint {

inline constexpr const char* kDeepSpeedConfig = "ds_inference_config.json";

// A torch file and the rank whose slices it has.
struct DeepSpeedFile {
  std::string name;
  int64_t rank = 0;
};

struct DeepSpeedCheckpoint {
  int64_t num_slices = 1;
  bool is_sliced = false;            // whether the files hold slices ("tp")
  std::vector<DeepSpeedFile> files;  // in the order of the description, each once
};

// Reads and checks the description. Whatever folder it says that the files were in ("base_dir", or a
// path), they lie beside it now, so only the last part of each name counts. kCorrupt or
// kUnsupported, naming the field: another type than a language model's, a number of files that the
// ranks cannot share equally, a name that is no file name or stands twice.
Result<DeepSpeedCheckpoint> ReadDeepSpeedConfig(const std::filesystem::path& path);

// What a rank's file has of one tensor.
struct RankTensor {
  TensorSource source;
  int64_t rank = 0;
};

// The whole tensors: those that `wanted` names are joined from the ranks' slices, or taken from one
// rank if each has the whole; others are those of the first rank. Of names with a prefix in
// `wanted`, the one that occurs counts. kNotFound, naming the tensor and the rank, if a slice is
// missing; else errors as of JoinSlices.
Result<std::vector<TensorSource>> JoinRanks(std::vector<RankTensor> tensors, int64_t num_slices,
                                            std::span<const SplitTensor> wanted);

}  // namespace dray::checkpoint
