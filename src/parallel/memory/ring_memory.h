// The memory of a link: a ring of slots, each for one message.
//
//   header                        one page: what the memory is, and why the link has ended
//   a line for each end           one page
//   slots                         depth * (64 + max_bytes rounded up to 64)
//
// The sender's word counts messages that are in the ring, the receiver's those that are taken out.
// Message n is in slot n % depth.
#pragma once

#include <atomic>
#include <chrono>
#include <cstddef>
#include <cstdint>

#include "base/status.h"
#include "parallel/memory/region.h"
#include "parallel/memory/shared_reason.h"
#include "parallel/memory/sync_word.h"

namespace dray::parallel {

// What both ends must agree on. Plain numbers, since they lie in shared memory.
struct RingShape {
  int64_t from = 0;  // ranks
  int64_t to = 1;
  int64_t max_bytes = 0;
  int64_t depth = 0;
  int64_t send_timeout_ms = 0;
  int64_t receive_timeout_ms = 0;
  int64_t spin_us = 0;
};
// Activations of some ten thousand rows of the widest models.
inline constexpr int64_t kMaxMessageBytes = int64_t{1} << 32;
// More micro-batches than stages that could compute them.
inline constexpr int64_t kMaxDepth = 1024;

// kInvalidArgument names the value and its limits.
Status CheckShape(const RingShape& shape);

enum class LinkEnd : uint8_t { kSender = 0, kReceiver = 1 };

struct alignas(64) EndLine {
  SyncWord word;
  std::atomic<uint32_t> attached{0};  // 1 as soon as a process is this end
};

// A message's place.
struct RingSlot {
  std::atomic<uint64_t>* size_bytes;
  std::byte* data;  // [max_bytes]
};

class RingMemory {
 public:
  static int64_t SizeBytes(const RingShape& shape);
  // Takes memory of zeros of that size and makes it the memory of a new link.
  static RingMemory Format(Region region, const RingShape& shape);
  // Takes memory that another process has formatted. kCorrupt if it is not that of a link, or if
  // its size is not that of its shape.
  static Result<RingMemory> Attach(Region region);

  const RingShape& shape() const { return shape_; }
  EndLine& line(LinkEnd end) const;
  RingSlot slot(int64_t message) const;

  // Keeps the first reason, and ends the words of both ends.
  void End(const Status& reason, FutexScope scope) const;
  Status Reason() const;

 private:
  struct Header;

  RingMemory(Region region, const RingShape& shape);
  Header& header() const;

  Region region_;
  RingShape shape_;  // of this process's own memory: a peer cannot change it
  int64_t slot_bytes_;
};

}  // namespace dray::parallel
