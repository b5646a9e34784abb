#include "checkpoint/checkpoint.h"

#include <fmt/format.h>

#include <algorithm>
#include <utility>

#include "checkpoint/gguf/gguf.h"
#include "checkpoint/gguf/gguf_files.h"
#include "checkpoint/safetensors.h"
#include "checkpoint/split/deepspeed.h"
#include "checkpoint/split/faster_transformer.h"
#include "checkpoint/torch/torch_file.h"
#include "checkpoint/unfinished_download.h"

namespace dray::checkpoint {
namespace {

namespace fs = std::filesystem;

template <typename T>
const T* FindByName(const std::vector<T>& sorted, std::string_view name) {
  const auto it = std::lower_bound(sorted.begin(), sorted.end(), name,
                                   [](const T& item, std::string_view n) { return item.name < n; });
  return it != sorted.end() && it->name == name ? &*it : nullptr;
}

template <typename T>
void SortByName(std::vector<T>& items) {
  std::sort(items.begin(), items.end(), [](const T& a, const T& b) { return a.name < b.name; });
}

Status TwiceError(std::string_view name, const MappedFile& first, const MappedFile& second) {
  return {StatusCode::kCorrupt,
          fmt::format("{}: tensor {} is in {} too; which of the two is meant is unknown",
                      first.path().string(), Quoted(name), second.path().string())};
}

}  // namespace

Result<Checkpoint> Checkpoint::Open(const fs::path& path, const OpenOptions& options) {
  DRAY_ASSIGN_OR_RETURN(const WeightFiles weights, FindWeightFiles(path));
  auto checkpoint = OpenFiles(path, weights, options);
  if (!checkpoint.ok()) return ExplainByDownload(checkpoint.status(), ModelDir(path));
  return checkpoint;
}

Result<Checkpoint> Checkpoint::OpenFiles(const fs::path& path, const WeightFiles& weights,
                                         const OpenOptions& options) {
  if (options.forbid_pickle && IsPickle(weights.format)) {
    return Status(
        StatusCode::kUnsupported,
        fmt::format(
            "{}: its weights are torch .bin files, which are switched off here; convert them "
            "to safetensors",
            path.string()));
  }
  Checkpoint checkpoint;
  checkpoint.format_ = weights.format;
  if (weights.format == FileFormat::kTorchTensors) {
    DRAY_RETURN_IF_ERROR(checkpoint.OpenTensorFiles(weights));
  } else if (weights.format == FileFormat::kDeepSpeed) {
    DRAY_RETURN_IF_ERROR(checkpoint.OpenRanks(weights, options.split));
  } else if (weights.format == FileFormat::kRawSlices) {
    DRAY_RETURN_IF_ERROR(checkpoint.OpenRawSlices(*weights.raw, options.split));
  } else {
    for (const fs::path& file : weights.files) DRAY_RETURN_IF_ERROR(checkpoint.OpenFile(file));
  }
  DRAY_RETURN_IF_ERROR(checkpoint.SortAndCheckNames());
  DRAY_RETURN_IF_ERROR(checkpoint.CheckAgainstIndex(weights));
  return checkpoint;
}

Result<const MappedFile*> Checkpoint::MapFile(const fs::path& path) {
  DRAY_ASSIGN_OR_RETURN(MappedFile mapped, MappedFile::Open(path));
  files_.push_back(std::make_unique<MappedFile>(std::move(mapped)));
  return files_.back().get();
}

Status Checkpoint::OpenFile(const fs::path& path) {
  DRAY_ASSIGN_OR_RETURN(const MappedFile* mapped, MapFile(path));
  const MappedFile& file = *mapped;
  auto content = ReadContent(file);
  if (!content.ok()) {
    // A file that somebody was writing to is not a corrupt one.
    DRAY_RETURN_IF_ERROR(file.CheckUnchanged());
    return content.status();
  }
  for (TensorSource& tensor : content->tensors) tensor.file = &file;
  for (UnreadableTensor& tensor : content->unreadable) tensor.file = &file;
  std::move(content->tensors.begin(), content->tensors.end(), std::back_inserter(tensors_));
  std::move(content->unreadable.begin(), content->unreadable.end(),
            std::back_inserter(unreadable_));
  return OkStatus();
}

Result<FileContent> Checkpoint::ReadContent(const MappedFile& file) {
  const std::string path = file.path().string();
  if (format_ == FileFormat::kTorch) return ReadTorchFile(file.bytes(), path);
  if (format_ == FileFormat::kTorchTensors) {
    return ReadTorchFile(file.bytes(), path, TorchRoot::kTensor);
  }
  if (format_ == FileFormat::kDeepSpeed) {
    return ReadTorchFile(file.bytes(), path, TorchRoot::kScaledStateDict);
  }
  if (format_ == FileFormat::kSafetensors) return ReadSafetensors(file.bytes(), path);
  DRAY_ASSIGN_OR_RETURN(GgufContent gguf, ReadGguf(file.bytes(), path));
  // Of several parts the first has it all.
  if (metadata_.is_null()) metadata_ = std::move(gguf.metadata);
  return std::move(gguf.content);
}

// The index names the tensors, not their files.
Status Checkpoint::OpenTensorFiles(const WeightFiles& weights) {
  for (size_t i = 0; i < weights.files.size(); ++i) {
    const size_t readable = tensors_.size();
    DRAY_RETURN_IF_ERROR(OpenFile(weights.files[i]));
    std::string& name = readable < tensors_.size() ? tensors_.back().name : unreadable_.back().name;
    name = weights.tensor_names[i];
  }
  return OkStatus();
}

Status Checkpoint::OpenRanks(const WeightFiles& weights, std::span<const SplitTensor> split) {
  std::vector<RankTensor> slices;
  for (size_t i = 0; i < weights.files.size(); ++i) {
    DRAY_RETURN_IF_ERROR(OpenFile(weights.files[i]));
    for (TensorSource& tensor : tensors_) slices.push_back({std::move(tensor), weights.ranks[i]});
    tensors_.clear();
  }
  // The ranks have the same tensors, so one of them says which cannot be read.
  SortByName(unreadable_);
  unreadable_.erase(std::unique(unreadable_.begin(), unreadable_.end(),
                                [](const auto& a, const auto& b) { return a.name == b.name; }),
                    unreadable_.end());
  DRAY_ASSIGN_OR_RETURN(tensors_, JoinRanks(std::move(slices), weights.num_slices, split));
  return OkStatus();
}

// Only the files that the model needs are mapped.
Status Checkpoint::OpenRawSlices(const FasterTransformerFolder& folder,
                                 std::span<const SplitTensor> split) {
  for (const SplitTensor& wanted : split) {
    DRAY_ASSIGN_OR_RETURN(const auto paths, FilesOf(folder, wanted));
    std::vector<TensorSource> slices;
    for (const fs::path& path : paths) {
      DRAY_ASSIGN_OR_RETURN(const MappedFile* file, MapFile(path));
      DRAY_ASSIGN_OR_RETURN(slices.emplace_back(), RawSlice(folder, wanted, *file));
    }
    if (slices.empty()) continue;
    DRAY_ASSIGN_OR_RETURN(tensors_.emplace_back(), JoinSlices(wanted, slices));
  }
  return OkStatus();
}

Status Checkpoint::SortAndCheckNames() {
  SortByName(tensors_);
  SortByName(unreadable_);
  for (size_t i = 1; i < tensors_.size(); ++i) {
    const TensorSource& a = tensors_[i - 1];
    const TensorSource& b = tensors_[i];
    if (a.name == b.name) return TwiceError(a.name, *a.file, *b.file);
  }
  for (size_t i = 0; i < unreadable_.size(); ++i) {
    const UnreadableTensor& a = unreadable_[i];
    if (const TensorSource* b = Find(a.name)) return TwiceError(a.name, *a.file, *b->file);
    if (i == 0) continue;
    const UnreadableTensor& before = unreadable_[i - 1];
    if (a.name == before.name) return TwiceError(a.name, *before.file, *a.file);
  }
  return OkStatus();
}

// A tensor of the index must not be in another file than the index says. A tensor that is in no
// file is an error only when it is asked for: some converters drop tied heads and buffers from the
// shards, but not from the index. Tensors that the index lacks are kept, as in the transformers
// library.
Status Checkpoint::CheckAgainstIndex(const WeightFiles& weights) {
  if (!weights.index) return OkStatus();
  std::vector<UnreadableTensor> absent;
  for (const auto& [tensor, file_name] : weights.index->weight_map) {
    const MappedFile* file = nullptr;
    if (const auto* readable = Find(tensor)) file = readable->file;
    if (const auto* unreadable = FindByName(unreadable_, tensor)) file = unreadable->file;
    if (file == nullptr) {
      absent.push_back({tensor,
                        fmt::format("{} says that it is in {}, but no shard has it",
                                    weights.index_path.filename().string(), Quoted(file_name)),
                        files_.front().get()});
    } else if (file->path().filename() != file_name) {
      return {
          StatusCode::kCorrupt,
          fmt::format("{}: tensor {} should be in {}, but it is in {}", weights.index_path.string(),
                      Quoted(tensor), Quoted(file_name), file->path().filename().string())};
    }
  }
  std::move(absent.begin(), absent.end(), std::back_inserter(unreadable_));
  SortByName(unreadable_);
  return OkStatus();
}

const TensorSource* Checkpoint::Find(std::string_view name) const {
  return FindByName(tensors_, name);
}

Result<const TensorSource*> Checkpoint::Require(std::string_view name) const {
  if (const TensorSource* tensor = Find(name)) return tensor;
  if (const auto* unreadable = FindByName(unreadable_, name)) {
    return Status(StatusCode::kUnsupported,
                  fmt::format("{}: tensor {}: {}", unreadable->file->path().string(), Quoted(name),
                              unreadable->reason));
  }
  return Status(StatusCode::kNotFound,
                fmt::format("{}: tensor {} is missing; there are {} others", DescribeFiles(),
                            Quoted(name), tensors_.size() + unreadable_.size()));
}

bool Checkpoint::Contains(std::string_view name) const {
  return Find(name) != nullptr || FindByName(unreadable_, name) != nullptr;
}

std::vector<fs::path> Checkpoint::files() const {
  std::vector<fs::path> paths;
  for (const auto& file : files_) paths.push_back(file->path());
  return paths;
}

std::string Checkpoint::DescribeFiles() const {
  const fs::path& first = files_.front()->path();
  if (files_.size() == 1) return first.string();
  return fmt::format("{} and {} more", first.string(), files_.size() - 1);
}

uint64_t Checkpoint::total_bytes() const {
  uint64_t total = 0;
  for (const auto& file : files_) total += file->bytes().size();
  return total;
}

Status Checkpoint::CheckUnchanged() const {
  for (const auto& file : files_) DRAY_RETURN_IF_ERROR(file->CheckUnchanged());
  return OkStatus();
}

Result<Json> ReadMetadata(const fs::path& path) {
  DRAY_ASSIGN_OR_RETURN(const WeightFiles weights, FindWeightFiles(path));
  if (weights.format != FileFormat::kGguf) {
    return Status(StatusCode::kNotFound,
                  fmt::format("{}: its weights are {} files, which hold no metadata", path.string(),
                              Name(weights.format)));
  }
  DRAY_ASSIGN_OR_RETURN(const MappedFile file, MappedFile::Open(weights.files.front()));
  auto gguf = ReadGguf(file.bytes(), file.path().string());
  DRAY_RETURN_IF_ERROR(file.CheckUnchanged());
  if (!gguf.ok()) return gguf.status();
  return std::move(gguf->metadata);
}

}  // namespace dray::checkpoint
