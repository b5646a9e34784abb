#include "checkpoint/weight_files.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <string>

#include "base/file.h"
#include "checkpoint/gguf/gguf_files.h"
#include "checkpoint/tensor_source.h"

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

Result<WeightFiles> FromIndex(const fs::path& dir, const Candidate& candidate) {
  WeightFiles weights{
      .format = candidate.format, .files = {}, .index_path = dir / candidate.index, .index = {}};
  DRAY_ASSIGN_OR_RETURN(weights.index, ReadShardIndex(weights.index_path));
  for (const std::string& name : weights.index->files) {
    weights.files.push_back(dir / name);
    if (!HasEntry(weights.files.back())) {
      return Status(
          StatusCode::kNotFound,
          fmt::format("{}: the shard {} is missing; download the model again, or restore the file",
                      weights.index_path.string(), Quoted(name)));
    }
  }
  return weights;
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
          "either (*.index.json), nor a single *.safetensors, *.bin or *.gguf file",
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
  }
  return "unknown";
}

Result<WeightFiles> FindWeightFiles(const fs::path& path) {
  if (IsGgufFile(path)) return GgufModel(path);
  const fs::path& dir = path;
  DRAY_RETURN_IF_ERROR(CheckFolderReadable(dir));
  for (const Candidate& candidate : kCandidates) {
    if (HasEntry(dir / candidate.single)) {
      return WeightFiles{.format = candidate.format,
                         .files = {dir / candidate.single},
                         .index_path = {},
                         .index = {}};
    }
    if (HasEntry(dir / candidate.index)) return FromIndex(dir, candidate);
  }
  for (const Candidate& candidate : kCandidates) {
    DRAY_ASSIGN_OR_RETURN(std::vector<fs::path> files,
                          FilesWithExtension(dir, candidate.extension));
    if (files.size() > 1) return Ambiguous(dir, files, candidate);
    if (files.size() == 1) {
      return WeightFiles{
          .format = candidate.format, .files = std::move(files), .index_path = {}, .index = {}};
    }
  }
  return FindGguf(dir);
}

}  // namespace dray::checkpoint
