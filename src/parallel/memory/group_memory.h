// The memory in which the ranks of a group meet. It has the same layout whether the ranks are
// threads of one process or processes that map one file:
//
//   header                   one page: what the memory is, and why the group has ended
//   a line for each rank     128 bytes * world, rounded up to pages
//   for each rank:
//     two parts              max_count floats each, rounded up to pages
//     numbers for Gather     the same
//
// A rank writes to its own line and to its own floats only. The floats of a rank begin on a page,
// so they lie on the memory node of the thread that writes them first.
#pragma once

#include <array>
#include <atomic>
#include <chrono>
#include <cstdint>

#include "base/status.h"
#include "parallel/memory/region.h"
#include "parallel/memory/shared_reason.h"
#include "parallel/memory/sync_word.h"

namespace dray::parallel {

struct GroupShape {
  int64_t world = 1;      // [1, kMaxWorld]
  int64_t max_count = 0;  // floats in a call, [1, kMaxCount]

  bool operator==(const GroupShape&) const = default;
};
// More ranks than a machine has memory nodes, and than a test needs.
inline constexpr int64_t kMaxWorld = 256;
// 4 GiB of floats: logits of a thousand rows of the largest vocabularies.
inline constexpr int64_t kMaxCount = int64_t{1} << 30;

// kInvalidArgument names the value and its limits.
Status CheckShape(const GroupShape& shape);

// One rank's line. Others read it.
struct alignas(64) RankLine {
  SyncWord word;
  // What the rank's calls are, so that ranks that have gone apart notice it: [0] and [1] of sums in
  // turn, as their parts are; [2] of the last gather.
  std::array<std::atomic<uint64_t>, 3> calls{};
  std::atomic<uint32_t> attached{0};  // 1 as soon as a process is this rank
};

class GroupMemory {
 public:
  static int64_t SizeBytes(const GroupShape& shape);
  // Takes memory of zeros of that size and makes it the memory of a new group, whose waiters spin
  // for `spin`.
  static GroupMemory Format(Region region, const GroupShape& shape, std::chrono::microseconds spin);
  // Takes memory that another process has formatted. kCorrupt if it is not that of a group, or if
  // its size is not that of its shape.
  static Result<GroupMemory> Attach(Region region);

  const GroupShape& shape() const { return shape_; }
  // For all ranks as the process that started the group has decided, since a rank that is bound to
  // some processors does not know how many there are. At most kSpinTime.
  std::chrono::microseconds spin() const { return spin_; }
  RankLine& line(int64_t rank) const;
  // [max_count]; `buffer` is 0 or 1.
  float* part(int64_t rank, int64_t buffer) const { return Floats(rank, buffer); }
  float* gathered(int64_t rank) const { return Floats(rank, 2); }

  // Keeps the first reason, and ends the words of all ranks.
  void End(const Status& reason, FutexScope scope) const;
  Status Reason() const;

 private:
  struct Header;

  GroupMemory(Region region, const GroupShape& shape, std::chrono::microseconds spin);
  Header& header() const;
  float* Floats(int64_t rank, int64_t index) const;

  Region region_;
  // Of this process's own memory: a peer cannot change what offsets are computed with.
  GroupShape shape_;
  std::chrono::microseconds spin_;
  int64_t lines_bytes_;
  int64_t floats_bytes_;
};

}  // namespace dray::parallel
