#include "artifact/mapped_artifact.h"

#include <fmt/format.h>

#include <algorithm>
#include <atomic>
#include <thread>
#include <utility>
#include <vector>

#include "artifact/checksum.h"
#include "base/file.h"

namespace dray::artifact {
namespace {

namespace fs = std::filesystem;

constexpr int64_t kNoChunk = INT64_MAX;

// A disk is at its rate with several reads at a time, and a thread that finds a page missing waits for its read. So
// there are more threads than processors.
constexpr int kWaitingThreads = 6;
constexpr int kNoProgress = -1;

Status Damaged(const fs::path& path, std::string_view what) {
  return {StatusCode::kCorrupt,
          fmt::format("{}: {}; copy the artifact again, or write it again with dray partition",
                      path.string(), what)};
}

Status CheckFile(const fs::path& folder, const ArtifactFile& file) {
  const fs::path path = folder / file.name;
  auto content = ReadFile(path, static_cast<uint64_t>(file.size_bytes));
  if (content.status().code() == StatusCode::kResourceExhausted) {
    return Damaged(path, fmt::format("it has more than the {} bytes that the artifact's file had",
                                     file.size_bytes));
  }
  if (!content.ok()) return content.status();
  const bool is_same = static_cast<int64_t>(content->size()) == file.size_bytes &&
                       Checksum(*content) == file.checksum;
  return is_same ? OkStatus()
                 : Damaged(path, "it is not the file that the artifact was written with");
}

// Compares checksums on several threads, which take chunks as they go.
class Verification {
 public:
  Verification(const ArtifactData& data, const MappedFile& file, const VerifyOptions& options)
      : data_(data),
        file_(file),
        options_(options),
        begin_(Border(options.part)),
        end_(Border(options.part + 1)),
        next_(begin_) {}

  Status Run() {
    std::vector<std::thread> waiting;
    waiting.reserve(kWaitingThreads);
    for (int i = 0; i < kWaitingThreads; ++i) waiting.emplace_back([this] { Work(kNoProgress); });
    if (options_.pool == nullptr) {
      Work(0);
    } else {
      options_.pool->Run([this](int thread_idx) { Work(thread_idx); });
    }
    for (std::thread& thread : waiting) thread.join();
    if (options_.stop.stop_requested()) return {StatusCode::kCancelled, "loading it was stopped"};
    const int64_t damaged = damaged_;
    if (damaged == kNoChunk) return OkStatus();
    return Damaged(
        file_.path(),
        fmt::format("bytes {} to {} are not those that were written", damaged * data_.chunk_bytes,
                    std::min((damaged + 1) * data_.chunk_bytes, data_.size_bytes)));
  }

 private:
  int64_t Border(int64_t part) const {
    return static_cast<int64_t>(data_.checksums.size()) * part / options_.parts;
  }
  std::span<const std::byte> Chunk(int64_t chunk) const {
    const auto begin = static_cast<size_t>(chunk * data_.chunk_bytes);
    const auto size = static_cast<size_t>(data_.size_bytes) - begin;
    return file_.bytes().subspan(begin, std::min(size, static_cast<size_t>(data_.chunk_bytes)));
  }

  // Chunks are not asked for beforehand (MappedFile::WillNeed): the kernel would read them into small pages.
  // An access to a mapping that prefers huge pages reads a whole one.
  void Work(int thread_idx) {
    for (int64_t chunk = next_++; chunk < end_; chunk = next_++) {
      if (options_.stop.stop_requested() || damaged_ != kNoChunk) return;
      if (Checksum(Chunk(chunk)) != data_.checksums[static_cast<size_t>(chunk)]) Note(chunk);
      if (!options_.keeps_pages) file_.Release(Chunk(chunk));
      if (thread_idx == 0 && options_.progress) {
        options_.progress(BytesTo(std::min<int64_t>(next_, end_)), BytesTo(end_));
      }
    }
  }
  // Bytes of the chunks from the first one to `end`.
  uint64_t BytesTo(int64_t end) const {
    return static_cast<uint64_t>(std::min((end - begin_) * data_.chunk_bytes, data_.size_bytes));
  }
  void Note(int64_t chunk) {
    int64_t known = damaged_;
    while (chunk < known && !damaged_.compare_exchange_weak(known, chunk)) {
    }
  }

  const ArtifactData& data_;
  const MappedFile& file_;
  const VerifyOptions& options_;
  const int64_t begin_, end_;
  std::atomic<int64_t> next_;
  std::atomic<int64_t> damaged_{kNoChunk};
};

}  // namespace

MappedArtifact::MappedArtifact(fs::path folder, Manifest manifest, OpenFile file, MappedFile data)
    : folder_(std::move(folder)),
      manifest_(std::move(manifest)),
      file_(std::move(file)),
      data_(std::move(data)) {
  for (const ArtifactTensor& tensor : manifest_.tensors) tensors_.emplace(tensor.name, &tensor);
}

Result<std::shared_ptr<const MappedArtifact>> MappedArtifact::Open(const fs::path& folder) {
  DRAY_ASSIGN_OR_RETURN(Manifest manifest, ReadManifest(folder));
  for (const ArtifactFile& file : manifest.files) DRAY_RETURN_IF_ERROR(CheckFile(folder, file));
  const fs::path path = folder / kDataName;
  DRAY_ASSIGN_OR_RETURN(OpenFile file, OpenFile::Open(path));
  if (file.state().size_bytes != static_cast<uint64_t>(manifest.data.size_bytes)) {
    return Damaged(path, fmt::format("it has {} bytes, not the {} that were written",
                                     file.state().size_bytes, manifest.data.size_bytes));
  }
  DRAY_ASSIGN_OR_RETURN(MappedFile data, MappedFile::Open(path));
  if (data.bytes().size() != file.state().size_bytes) return FileChanged(path);
  data.PreferHugePages();
  return std::shared_ptr<const MappedArtifact>(
      new MappedArtifact(folder, std::move(manifest), std::move(file), std::move(data)));
}

const ArtifactTensor* MappedArtifact::Find(std::string_view name) const {
  const auto found = tensors_.find(name);
  return found == tensors_.end() ? nullptr : found->second;
}

std::span<const std::byte> MappedArtifact::Bytes(const ArtifactTensor& tensor) const {
  return data_.bytes().subspan(static_cast<size_t>(tensor.offset),
                               static_cast<size_t>(tensor.size_bytes));
}

Status MappedArtifact::Verify(const VerifyOptions& options) const {
  DRAY_RETURN_IF_ERROR(Verification(manifest_.data, data_, options).Run());
  return CheckIntact();
}

Status MappedArtifact::CheckIntact() const {
  // That bytes are lost explains more than that the size is another one.
  if (data_.damaged()) return data_.CheckUnchanged();
  return file_.CheckContent();
}

}  // namespace dray::artifact
