// Weights that are in memory only while they are needed. A model computes its layers one after the other, again
// and again; the units of a stream are the parts of these layers that do not fit into memory. Threads of
// the stream read the next unit from the disk while the model computes with the one before, and a unit's memory
// is given back as soon as every user has done with it.
//
// The order is a circle, so the unit that was used last is the one that is needed last. That is why nothing is
// kept for later: a cache would have given every unit away just before it is needed.
//
// Only for backends that compute an operation before the call of it returns, as those do that read the
// host's memory.
#pragma once

#include <array>
#include <condition_variable>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <mutex>
#include <optional>
#include <vector>

#include "artifact/placement/byte_range.h"
#include "artifact/placement/data_memory.h"
#include "base/status.h"
#include "base/threads/helper_threads.h"

namespace dray::artifact {

// Threads: owns a few that read. Each user may be a thread of its own.
class UnitStream {
 public:
  // How many units are in memory at a time: one to compute with, and one that is being read.
  static constexpr int64_t kUnitsInMemory = 2;

  // [unit]: the ranges that it consists of, at least one for each. There are more than kUnitsInMemory units.
  using Units = std::vector<std::vector<ByteRange>>;

  // Puts memory for the units in place of the file's mapping, and begins to read. `num_users` are the
  // threads that compute with the units, each with all of them.
  static Result<std::unique_ptr<UnitStream>> Start(std::shared_ptr<const DataMemory> memory,
                                                   const Units& units, size_t num_users);
  ~UnitStream();
  UnitStream(const UnitStream&) = delete;
  UnitStream& operator=(const UnitStream&) = delete;

  // Waits until the unit's bytes are in memory. A user begins units in ascending order, and with unit 0 again
  // after the last; units that it left out, as after an error, are read first. kIo or kCorrupt if the file cannot
  // be read; the next call tries again.
  Status Begin(size_t user, int64_t unit);
  // The user has done with the unit that it has begun.
  void End(size_t user);

  // Bytes that were read so far.
  int64_t bytes_read() const;

 private:
  struct Piece {
    int64_t position = 0;
    ByteRange range;
    int64_t attempt = 0;  // attempts_ when a thread took it
  };

  UnitStream(std::shared_ptr<const DataMemory> memory, Units units, size_t num_users);
  void Work();
  std::optional<Piece> Take(std::unique_lock<std::mutex>& lock);
  std::optional<Piece> NextPiece();
  void Finish(const Piece& piece, const Status& status);
  void EmptyUsed();
  int64_t FirstInUse() const;
  size_t UnitAt(int64_t position) const { return static_cast<size_t>(position) % units_.size(); }
  int64_t& LeftOf(int64_t position) {
    return left_[static_cast<size_t>(position % kUnitsInMemory)];
  }

  const std::shared_ptr<const DataMemory> memory_;
  const Units units_;
  std::vector<std::vector<ByteRange>> pieces_;  // [unit]: what a thread reads at once

  mutable std::mutex mutex_;
  std::condition_variable changed_;
  // Positions count the units that are used one after the other, in all rounds: position p is unit
  // p % number of units.
  std::vector<int64_t> next_;  // [user]: the position that it needs first
  int64_t emptied_ = 0;        // the first position whose memory is not given back
  int64_t position_ = 0;       // the position whose pieces the threads take
  size_t piece_ = 0;           // the next of them
  int64_t ready_ = 0;          // the first position that is not read
  std::array<int64_t, kUnitsInMemory> left_ = {};  // pieces of a position that are not read
  std::vector<Piece> failed_;                      // to be read again
  Status failure_;                                 // of the last piece that could not be read
  int64_t attempts_ = 0;  // how often users have asked again after a failure
  int64_t bytes_read_ = 0;
  bool stops_ = false;
  HelperThreads threads_;
};

}  // namespace dray::artifact
