#include "parallel/memory/region.h"

#include <fmt/format.h>
#include <sys/mman.h>

#include <cerrno>
#include <cstring>
#include <utility>

namespace dray::parallel {
namespace {

Result<std::byte*> Map(int64_t size_bytes, int flags, int descriptor) {
  void* data = ::mmap(nullptr, static_cast<size_t>(size_bytes), PROT_READ | PROT_WRITE, flags,
                      descriptor, 0);
  if (data == MAP_FAILED) {
    return Status(StatusCode::kResourceExhausted,
                  fmt::format("cannot map {} bytes of memory for a group of ranks: {}", size_bytes,
                              std::strerror(errno)));
  }
  return static_cast<std::byte*>(data);
}

}  // namespace

Result<Region> Region::Anonymous(int64_t size_bytes) {
  DRAY_ASSIGN_OR_RETURN(std::byte* const data, Map(size_bytes, MAP_PRIVATE | MAP_ANONYMOUS, -1));
  return Region(data, size_bytes);
}

Result<Region> Region::MapShared(int descriptor, int64_t size_bytes) {
  DRAY_ASSIGN_OR_RETURN(std::byte* const data, Map(size_bytes, MAP_SHARED, descriptor));
  return Region(data, size_bytes);
}

Region::Region(Region&& other) noexcept
    : data_(std::exchange(other.data_, nullptr)),
      size_bytes_(std::exchange(other.size_bytes_, 0)) {}

Region& Region::operator=(Region&& other) noexcept {
  std::swap(data_, other.data_);
  std::swap(size_bytes_, other.size_bytes_);
  return *this;
}

Region::~Region() {
  if (data_ != nullptr) ::munmap(data_, static_cast<size_t>(size_bytes_));
}

}  // namespace dray::parallel
