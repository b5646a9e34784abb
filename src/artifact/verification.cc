#include "artifact/verification.h"

#include <fmt/format.h>

#include <algorithm>
#include <atomic>
#include <cstddef>
#include <span>

#include "artifact/checksum.h"
#include "base/threads/helper_threads.h"

namespace dray::artifact {
namespace {

constexpr int64_t kNoChunk = INT64_MAX;

// A disk is at its rate with several reads at a time, and a thread that finds a page missing waits for its read. So
// there are more threads than processors.
constexpr int kWaitingThreads = 6;

enum class Reports { kNone, kProgress };

// The threads take chunks as they go.
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
    HelperThreads helpers;
    const int64_t wanted = static_cast<int64_t>(options_.cpus.size()) + kWaitingThreads;
    for (int64_t i = 0; i < std::min(wanted, end_ - begin_ - 1); ++i) {
      const Status started = helpers.Start(
          "to verify it", [this] { Work(Reports::kNone); }, options_.cpus);
      if (started.ok()) continue;
      next_ = end_;  // the other threads end with the chunks that they have
      return started.WithPrefix(file_.path().string());
    }
    Work(Reports::kProgress);
    helpers.Join();
    if (options_.stop.stop_requested()) return {StatusCode::kCancelled, "loading it was stopped"};
    const int64_t damaged = damaged_;
    if (damaged == kNoChunk) {
      if (options_.progress) options_.progress(BytesTo(end_), BytesTo(end_));
      return OkStatus();
    }
    return DamagedFile(
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
  void Work(Reports reports) {
    for (int64_t chunk = next_++; chunk < end_; chunk = next_++) {
      if (options_.stop.stop_requested() || damaged_ != kNoChunk) return;
      if (Checksum(Chunk(chunk)) != data_.checksums[static_cast<size_t>(chunk)]) Note(chunk);
      if (!options_.keeps_pages) file_.Release(Chunk(chunk));
      if (reports == Reports::kProgress && options_.progress) {
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

Status VerifyChunks(const ArtifactData& data, const MappedFile& file,
                    const VerifyOptions& options) {
  return Verification(data, file, options).Run();
}

Status DamagedFile(const std::filesystem::path& path, std::string_view what) {
  return {StatusCode::kCorrupt,
          fmt::format("{}: {}; copy the artifact again, or write it again with dray partition",
                      path.string(), what)};
}

}  // namespace dray::artifact
