#include "checkpoint/checkpoint.h"

#include <fmt/format.h>

#include <algorithm>
#include <utility>

#include "checkpoint/gguf/gguf.h"
#include "checkpoint/safetensors.h"
#include "checkpoint/torch/torch_file.h"

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
  if (options.forbid_pickle && weights.format == FileFormat::kTorch) {
    return Status(
        StatusCode::kUnsupported,
        fmt::format(
            "{}: its weights are torch .bin files, which are switched off here; convert them "
            "to safetensors",
            path.string()));
  }
  Checkpoint checkpoint;
  checkpoint.format_ = weights.format;
  for (const fs::path& file : weights.files) DRAY_RETURN_IF_ERROR(checkpoint.OpenFile(file));
  DRAY_RETURN_IF_ERROR(checkpoint.SortAndCheckNames());
  DRAY_RETURN_IF_ERROR(checkpoint.CheckAgainstIndex(weights));
  return checkpoint;
}

Status Checkpoint::OpenFile(const fs::path& path) {
  DRAY_ASSIGN_OR_RETURN(MappedFile mapped, MappedFile::Open(path));
  files_.push_back(std::make_unique<MappedFile>(std::move(mapped)));
  const MappedFile& file = *files_.back();
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
  if (format_ == FileFormat::kSafetensors) return ReadSafetensors(file.bytes(), path);
  DRAY_ASSIGN_OR_RETURN(GgufContent gguf, ReadGguf(file.bytes(), path));
  // Of several parts the first has it all.
  if (metadata_.is_null()) metadata_ = std::move(gguf.metadata);
  return std::move(gguf.content);
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
