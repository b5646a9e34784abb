#include "checkpoint/weight_files.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <string>
#include <utility>

#include "base/file.h"
#include "checkpoint/gguf/gguf_files.h"
#include "checkpoint/split/deepspeed.h"
#include "checkpoint/split/key_files.h"
#include "checkpoint/tensor_source.h"
#include "checkpoint/unfinished_download.h"

namespace dray::checkpoint {
namespace {

namespace fs = std::filesystem;

struct Candidate {
  FileFormat format;
  std::string_view extension;
  std::string_view single;
  std::string_view index;
};
constexpr std::array kCandidates = {
    Candidate{FileFormat::kSafetensors, ".safetensors", "model.safetensors",
              "model.safetensors.index.json"},
    Candidate{FileFormat::kTorch, ".bin", "pytorch_model.bin", "pytorch_model.bin.index.json"},
};

// What trainers leave beside the weights under the same extension.
constexpr std::array kNotWeights = {"training_args.bin", "optimizer.bin", "scheduler.bin"};

// Adds a file that lies beside the index. kNotFound if it does not.
Status AddFile(WeightFiles& weights, const std::string& name, std::string_view kind) {
  weights.files.push_back(weights.index_path.parent_path() / name);
  if (HasEntry(weights.files.back())) return OkStatus();
  return {StatusCode::kNotFound,
          fmt::format("{}: the {} {} is missing; download the model again, or restore the file",
                      weights.index_path.string(), kind, Quoted(name))};
}

Result<WeightFiles> FromIndex(const fs::path& dir, const Candidate& candidate) {
  WeightFiles weights{
      .format = candidate.format, .files = {}, .index_path = dir / candidate.index, .index = {}};
  DRAY_ASSIGN_OR_RETURN(weights.index, ReadShardIndex(weights.index_path));
  for (const std::string& name : weights.index->files) {
    DRAY_RETURN_IF_ERROR(AddFile(weights, name, "shard"));
  }
  return weights;
}

// `folder` stands in the place of a torch file.
Result<WeightFiles> FromTensorFiles(const fs::path& folder) {
  WeightFiles weights{.format = FileFormat::kTorchTensors,
                      .files = {},
                      .index_path = folder / kKeyFilesIndex,
                      .index = {}};
  DRAY_ASSIGN_OR_RETURN(const auto entries, ReadKeyFiles(weights.index_path));
  for (const auto& [tensor, file] : entries) {
    DRAY_RETURN_IF_ERROR(AddFile(weights, file, "file"));
    weights.tensor_names.push_back(tensor);
  }
  return weights;
}

Result<WeightFiles> FromDeepSpeed(const fs::path& dir) {
  WeightFiles weights{
      .format = FileFormat::kTorch, .files = {}, .index_path = dir / kDeepSpeedConfig, .index = {}};
  DRAY_ASSIGN_OR_RETURN(const DeepSpeedCheckpoint checkpoint,
                        ReadDeepSpeedConfig(weights.index_path));
  if (checkpoint.is_sliced) weights.format = FileFormat::kDeepSpeed;
  weights.num_slices = checkpoint.num_slices;
  for (const DeepSpeedFile& file : checkpoint.files) {
    DRAY_RETURN_IF_ERROR(AddFile(weights, file.name, "file"));
    weights.ranks.push_back(file.rank);
  }
  return weights;
}

// The layouts of other programs, which a description beside the weights tells; nothing if there is
// none.
Result<std::optional<WeightFiles>> FindSplit(const fs::path& dir) {
  if (HasEntry(dir / kDeepSpeedConfig)) {
    DRAY_ASSIGN_OR_RETURN(WeightFiles weights, FromDeepSpeed(dir));
    return std::optional(std::move(weights));
  }
  DRAY_ASSIGN_OR_RETURN(auto raw, FindFasterTransformer(dir));
  if (!raw) return std::optional<WeightFiles>();
  WeightFiles weights{
      .format = FileFormat::kRawSlices, .files = raw->files, .index_path = {}, .index = {}};
  weights.raw = std::move(raw);
  return std::optional(std::move(weights));
}

// The regular files of `dir` with that extension that may be weights, sorted by name.
Result<std::vector<fs::path>> FilesWithExtension(const fs::path& dir, std::string_view extension) {
  std::vector<fs::path> found;
  std::error_code error;
  for (fs::directory_iterator it(dir, error), end; !error && it != end; it.increment(error)) {
    std::error_code unreadable;
    if (it->path().extension() != extension || !it->is_regular_file(unreadable)) continue;
    if (std::find(kNotWeights.begin(), kNotWeights.end(), it->path().filename()) !=
        kNotWeights.end())
      continue;
    found.push_back(it->path());
  }
  if (error) {
    return Status(
        error == std::errc::no_such_file_or_directory ? StatusCode::kNotFound : StatusCode::kIo,
        fmt::format("{}: cannot list the directory: {}", dir.string(), error.message()));
  }
  std::sort(found.begin(), found.end());
  return found;
}

Status Ambiguous(const fs::path& dir, const std::vector<fs::path>& files,
                 const Candidate& candidate) {
  return {StatusCode::kInvalidArgument,
          fmt::format("{}: {} weight files ({}, {}, ...) but neither {} nor {}; keep one file, or "
                      "add the index",
                      dir.string(), files.size(), files[0].filename().string(),
                      files[1].filename().string(), candidate.single, candidate.index)};
}

Result<WeightFiles> GgufModel(const fs::path& file) {
  WeightFiles weights{.format = FileFormat::kGguf, .files = {}, .index_path = {}, .index = {}};
  DRAY_ASSIGN_OR_RETURN(weights.files, FindGgufParts(file));
  return weights;
}

// What is left to look for in a directory without weights of the other formats.
Result<WeightFiles> FindGguf(const fs::path& dir) {
  DRAY_ASSIGN_OR_RETURN(const std::vector<fs::path> models, ListGgufModels(dir));
  if (models.size() == 1) return GgufModel(models[0]);
  if (models.size() > 1) {
    return Status(StatusCode::kInvalidArgument,
                  fmt::format("{}: it holds {} GGUF models ({}, {}, ...): name one of the files",
                              dir.string(), models.size(), models[0].filename().string(),
                              models[1].filename().string()));
  }
  return Status(
      StatusCode::kNotFound,
      fmt::format(
          "{}: no weights: neither model.safetensors nor pytorch_model.bin, nor an index of "
          "either (*.index.json), nor a single *.safetensors, *.bin or *.gguf file, nor a layout "
          "of DeepSpeed or FasterTransformer",
          dir.string()));
}

}  // namespace

std::string_view Name(FileFormat format) {
  switch (format) {
    case FileFormat::kSafetensors:
      return "safetensors";
    case FileFormat::kTorch:
      return "torch";
    case FileFormat::kGguf:
      return "gguf";
    case FileFormat::kTorchTensors:
      return "transformers-neuronx";
    case FileFormat::kDeepSpeed:
      return "DeepSpeed";
    case FileFormat::kRawSlices:
      return "FasterTransformer";
  }
  return "unknown";
}

bool IsPickle(FileFormat format) {
  return format == FileFormat::kTorch || format == FileFormat::kTorchTensors ||
         format == FileFormat::kDeepSpeed;
}

namespace {

Result<WeightFiles> FindInFolder(const fs::path& dir) {
  DRAY_RETURN_IF_ERROR(CheckFolderReadable(dir));
  for (const Candidate& candidate : kCandidates) {
    if (HasEntry(dir / candidate.single)) {
      std::error_code error;
      const bool is_folder = fs::is_directory(dir / candidate.single, error);
      if (is_folder && HasEntry(dir / candidate.single / kKeyFilesIndex)) {
        return FromTensorFiles(dir / candidate.single);
      }
      return WeightFiles{.format = candidate.format,
                         .files = {dir / candidate.single},
                         .index_path = {},
                         .index = {}};
    }
    if (HasEntry(dir / candidate.index)) return FromIndex(dir, candidate);
  }
  DRAY_ASSIGN_OR_RETURN(auto split, FindSplit(dir));
  if (split) return *std::move(split);
  for (const Candidate& candidate : kCandidates) {
    DRAY_ASSIGN_OR_RETURN(std::vector<fs::path> files,
                          FilesWithExtension(dir, candidate.extension));
    if (files.size() > 1) return Ambiguous(dir, files, candidate);
    if (files.size() == 1) {
      // A file that nothing names may be the first of several.
      if (const fs::path mark = FindUnfinishedDownload(dir); !mark.empty()) {
        return Status(StatusCode::kUnavailable,
                      fmt::format("{}: it may be only a part of the weights", files[0].string()));
      }
      return WeightFiles{
          .format = candidate.format, .files = std::move(files), .index_path = {}, .index = {}};
    }
  }
  return FindGguf(dir);
}

}  // namespace

Result<WeightFiles> FindWeightFiles(const fs::path& path) {
  if (IsGgufFile(path)) return GgufModel(path);
  auto found = FindInFolder(path);
  if (!found.ok()) return ExplainByDownload(found.status(), path);
  return found;
}

}  // namespace dray::checkpoint
