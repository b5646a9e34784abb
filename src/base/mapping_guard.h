// Keeps the process alive when mapped bytes of a file go away. If a file shrinks, or its disk fails, the
// kernel answers the next access to its mapping with the signal SIGBUS, which would end the process;
// no check beforehand can prevent that. The handler that is installed here puts pages of zeros in
// place of the lost ones and notes it: the access goes on, and whoever reads the mapping asks
// damaged() before they trust what they read.
//
// Threads: any thread may read a guarded mapping; damaged() may be asked from any thread.
#pragma once

#include <cstddef>

namespace dray {

// Guards one mapping. End it before the mapping is unmapped.
class MappingGuard {
 public:
  // Guards nothing.
  MappingGuard() = default;
  // `begin` is the mapping's first byte; its memory must be what mmap returned.
  MappingGuard(const void* begin, size_t size_bytes);
  MappingGuard(MappingGuard&& other) noexcept;
  MappingGuard& operator=(MappingGuard&& other) noexcept;
  MappingGuard(const MappingGuard&) = delete;
  MappingGuard& operator=(const MappingGuard&) = delete;
  ~MappingGuard();

  // Whether bytes of the mapping were lost. From then on the rest of it reads as zeros.
  bool damaged() const;

 private:
  struct Region;
  struct Handler;
  Region* region_ = nullptr;
};

}  // namespace dray
