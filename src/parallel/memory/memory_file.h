// A file without a name that exists only in memory, and which the processes of a group map. It is
// gone with the last process that has it, however they end.
//
// Whoever creates the file passes its descriptor to the others. Nobody can change its size.
#pragma once

#include <atomic>
#include <cstdint>
#include <memory>
#include <vector>

#include "base/status.h"
#include "parallel/memory/region.h"
#include "parallel/memory/sync_word.h"

namespace dray::parallel {

class MemoryFile {
 public:
  // Zeros. `name` is for /proc only. kResourceExhausted if the system refuses.
  static Result<MemoryFile> Create(const char* name, int64_t size_bytes);
  // The file behind a descriptor that this process has inherited, which stays the caller's.
  // kInvalidArgument if it is not such a file.
  static Result<MemoryFile> Open(int descriptor);

  MemoryFile(MemoryFile&& other) noexcept;
  MemoryFile& operator=(MemoryFile&& other) noexcept;
  MemoryFile(const MemoryFile&) = delete;
  MemoryFile& operator=(const MemoryFile&) = delete;
  ~MemoryFile();

  // Closed when another program is executed (FD_CLOEXEC).
  int descriptor() const { return descriptor_; }
  int64_t size_bytes() const { return size_bytes_; }
  Result<Region> Map() const { return Region::MapShared(descriptor_, size_bytes_); }

  // A process claims a seat in a group, which is a number from 0, by a lock that the kernel
  // releases when the process ends in any way. False if another MemoryFile, of whatever process, has
  // claimed the seat.
  bool Claim(int64_t seat) const;
  // Whether another MemoryFile has claimed the seat.
  bool IsClaimed(int64_t seat) const;

 private:
  MemoryFile(int descriptor, int64_t size_bytes)
      : descriptor_(descriptor), size_bytes_(size_bytes) {}

  int descriptor_ = -1;
  int64_t size_bytes_ = 0;
};

// A seat is gone if the memory says that a process has been attached to it, and no process claims it
// any more.
class ClaimLiveness final : public Liveness {
 public:
  // `attached` [seats]: 1 for a seat as soon as it is claimed; they outlive this object.
  ClaimLiveness(MemoryFile file, std::vector<const std::atomic<uint32_t>*> attached);

  bool IsGone(int64_t seat) const override;

 private:
  const MemoryFile file_;
  const std::vector<const std::atomic<uint32_t>*> attached_;
};

}  // namespace dray::parallel
