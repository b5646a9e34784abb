#include "fuzz/support/memory_file.h"

#include <sys/mman.h>
#include <unistd.h>

#include <string>

#include "base/check.h"

namespace dray::fuzz {

MemoryFile::MemoryFile(const uint8_t* data, size_t size) : fd_(memfd_create("fuzz", 0)) {
  DRAY_CHECK(fd_ >= 0);
  DRAY_CHECK(write(fd_, data, size) == static_cast<ssize_t>(size));
  path_ = "/proc/self/fd/" + std::to_string(fd_);
}

MemoryFile::~MemoryFile() { close(fd_); }

}  // namespace dray::fuzz
