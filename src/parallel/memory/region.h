// Pages of memory that ranks share: of this process, or of a memory file that several map.
#pragma once

#include <cstddef>
#include <cstdint>

#include "base/status.h"

namespace dray::parallel {

class Region {
 public:
  // Zeros. The kernel provides a page when a thread first writes to it, on that thread's memory
  // node. kResourceExhausted if the process may not have so much address space.
  static Result<Region> Anonymous(int64_t size_bytes);
  // The first `size_bytes` of a file that is at least as long, shared with all who map it.
  static Result<Region> MapShared(int descriptor, int64_t size_bytes);

  Region(Region&& other) noexcept;
  Region& operator=(Region&& other) noexcept;
  Region(const Region&) = delete;
  Region& operator=(const Region&) = delete;
  ~Region();

  std::byte* data() const { return data_; }
  int64_t size_bytes() const { return size_bytes_; }

 private:
  Region(std::byte* data, int64_t size_bytes) : data_(data), size_bytes_(size_bytes) {}

  std::byte* data_ = nullptr;
  int64_t size_bytes_ = 0;
};

}  // namespace dray::parallel
