#include "artifact/placement/copy_ranges.h"

#include <algorithm>
#include <atomic>
#include <mutex>

#include "base/threads/helper_threads.h"

namespace dray::artifact {
namespace {

// So large that exchanging the memory costs nothing beside reading, and so small that a piece that exists twice
// for a moment does no harm.
constexpr int64_t kPieceBytes = int64_t{16} << 20;

class Copying {
 public:
  Copying(const DataMemory& memory, const std::vector<ByteRange>& ranges,
          const CopyOptions& options)
      : memory_(memory), options_(options) {
    for (const ByteRange& range : ranges) {
      // Pieces end where huge pages do.
      for (int64_t begin = range.begin; begin < range.end; begin = pieces_.back().end) {
        pieces_.push_back({begin, std::min((begin / kPieceBytes + 1) * kPieceBytes, range.end)});
      }
    }
  }

  Status Run() {
    HelperThreads threads;
    for (int i = 1; i < options_.num_threads && !failed_; ++i) {
      const Status started = threads.Start("to copy weights", [this] { Work(); });
      if (!started.ok()) Note(started);
    }
    Work();
    threads.Join();
    return status_;
  }

 private:
  void Work() {
    for (size_t piece = next_++; piece < pieces_.size() && !failed_; piece = next_++) {
      if (const Status status = CopyPiece(pieces_[piece]); !status.ok()) Note(status);
    }
  }

  Status CopyPiece(const ByteRange& piece) {
    if (options_.stop.stop_requested()) return {StatusCode::kCancelled, "loading it was stopped"};
    DRAY_RETURN_IF_ERROR(memory_.Copy(piece));
    return options_.after_piece ? options_.after_piece(piece.size()) : OkStatus();
  }

  void Note(const Status& status) {
    const std::lock_guard lock(mutex_);
    if (!failed_) status_ = status;
    failed_ = true;
  }

  const DataMemory& memory_;
  const CopyOptions& options_;
  std::vector<ByteRange> pieces_;
  std::atomic<size_t> next_{0};
  std::atomic<bool> failed_{false};
  std::mutex mutex_;
  Status status_;
};

}  // namespace

Status CopyRanges(const DataMemory& memory, const std::vector<ByteRange>& ranges,
                  const CopyOptions& options) {
  return Copying(memory, ranges, options).Run();
}

}  // namespace dray::artifact
