#include "artifact/placement/unit_stream.h"

#include <algorithm>
#include <utility>

#include "base/check.h"

namespace dray::artifact {
namespace {

// A disk is at its rate with a few large reads at a time (bench/results/load.md).
constexpr int64_t kPieceBytes = int64_t{4} << 20;
constexpr int kThreads = 4;

std::vector<ByteRange> Divide(const std::vector<ByteRange>& ranges) {
  std::vector<ByteRange> pieces;
  for (const ByteRange& range : ranges) {
    // Pieces end where huge pages do, so that each of these is filled by one thread.
    for (int64_t begin = range.begin; begin < range.end; begin = pieces.back().end) {
      pieces.push_back({begin, std::min((begin / kPieceBytes + 1) * kPieceBytes, range.end)});
    }
  }
  return pieces;
}

}  // namespace

Result<std::unique_ptr<UnitStream>> UnitStream::Start(std::shared_ptr<const DataMemory> memory,
                                                      const Units& units, size_t num_users) {
  DRAY_CHECK(static_cast<int64_t>(units.size()) > kUnitsInMemory && num_users > 0);
  std::unique_ptr<UnitStream> stream(new UnitStream(std::move(memory), units, num_users));
  for (const std::vector<ByteRange>& unit : units) {
    DRAY_CHECK(!unit.empty());
    for (const ByteRange& range : unit) DRAY_RETURN_IF_ERROR(stream->memory_->Reserve(range));
    stream->pieces_.push_back(Divide(unit));
  }
  for (int i = 0; i < kThreads; ++i) {
    DRAY_RETURN_IF_ERROR(stream->threads_.Start("to read weights from the disk",
                                                [stream = stream.get()] { stream->Work(); }));
  }
  return stream;
}

UnitStream::UnitStream(std::shared_ptr<const DataMemory> memory, Units units, size_t num_users)
    : memory_(std::move(memory)), units_(std::move(units)), next_(num_users, 0) {}

UnitStream::~UnitStream() {
  {
    const std::lock_guard lock(mutex_);
    stops_ = true;
  }
  changed_.notify_all();
  threads_.Join();
}

Status UnitStream::Begin(size_t user, int64_t unit) {
  std::unique_lock lock(mutex_);
  // What could not be read is tried again.
  if (!failure_.ok()) {
    failure_ = OkStatus();
    ++attempts_;
    changed_.notify_all();
  }
  while (true) {
    const int64_t position = next_[user];
    changed_.wait(lock, [&] { return ready_ > position || !failure_.ok(); });
    if (ready_ <= position) return failure_;
    if (UnitAt(position) == static_cast<size_t>(unit)) return OkStatus();
    ++next_[user];
    changed_.notify_all();
  }
}

void UnitStream::End(size_t user) {
  {
    const std::lock_guard lock(mutex_);
    ++next_[user];
  }
  changed_.notify_all();
}

int64_t UnitStream::bytes_read() const {
  const std::lock_guard lock(mutex_);
  return bytes_read_;
}

int64_t UnitStream::FirstInUse() const { return *std::min_element(next_.begin(), next_.end()); }

void UnitStream::Work() {
  std::unique_lock lock(mutex_);
  while (const auto piece = Take(lock)) {
    lock.unlock();
    const Status status = memory_->Fill(piece->range);
    lock.lock();
    Finish(*piece, status);
  }
}

// Waits for a piece that may be read now; none if the stream ends.
std::optional<UnitStream::Piece> UnitStream::Take(std::unique_lock<std::mutex>& lock) {
  while (!stops_) {
    EmptyUsed();
    if (auto piece = NextPiece()) {
      piece->attempt = attempts_;
      return piece;
    }
    changed_.wait(lock);
  }
  return std::nullopt;
}

// A position that no user needs any more was read whole, for each user has waited for it.
void UnitStream::EmptyUsed() {
  for (const int64_t first = FirstInUse(); emptied_ < first; ++emptied_) {
    for (const ByteRange& range : units_[UnitAt(emptied_)]) memory_->Empty(range);
  }
}

std::optional<UnitStream::Piece> UnitStream::NextPiece() {
  if (!failure_.ok()) return std::nullopt;
  if (!failed_.empty()) {
    const Piece piece = failed_.back();
    failed_.pop_back();
    return piece;
  }
  if (position_ >= emptied_ + kUnitsInMemory) return std::nullopt;
  const std::vector<ByteRange>& pieces = pieces_[UnitAt(position_)];
  if (piece_ == 0) LeftOf(position_) = static_cast<int64_t>(pieces.size());
  const Piece piece = {position_, pieces[piece_]};
  if (++piece_ == pieces.size()) {
    ++position_;
    piece_ = 0;
  }
  return piece;
}

void UnitStream::Finish(const Piece& piece, const Status& status) {
  if (!status.ok()) {
    failed_.push_back(piece);
    // A read that began before a user asked again says nothing about the file as it is now: it is only repeated.
    if (piece.attempt == attempts_) failure_ = status;
  } else {
    --LeftOf(piece.position);
    bytes_read_ += piece.range.size();
    // Pieces of two positions may be read at the same time.
    const int64_t begun = position_ + (piece_ > 0 ? 1 : 0);
    while (ready_ < begun && LeftOf(ready_) == 0) ++ready_;
  }
  changed_.notify_all();
}

}  // namespace dray::artifact
