#include "tensor/buffer.h"

#include <fmt/format.h>
#include <sys/mman.h>

#include <algorithm>
#include <cstdlib>

#include "base/checked_math.h"
#include "base/machine/huge_pages.h"
#include "base/machine/memory_info.h"

namespace dray {
namespace {

constexpr size_t kAlignment = 64;  // one cache line, one AVX-512 register

// Small buffers come from the heap. Large buffers come from the kernel, aligned to huge pages. The
// part that does not fill a last huge page lies in small pages: a model has hundreds of buffers,
// and half a huge page lost in each would be a tenth of a small model in four bits.
class HostMemory final : public Allocator {
 public:
  Result<Buffer> Allocate(size_t size_bytes) override {
    if (size_bytes == 0) return Buffer();
    void* data =
        size_bytes < kHugePageBytes ? AllocateSmall(size_bytes) : AllocateLarge(size_bytes);
    if (data == nullptr) {
      return Status(StatusCode::kResourceExhausted,
                    fmt::format("no memory for {} bytes: use a smaller model, dtype or KV cache",
                                size_bytes));
    }
    return Adopt(data, size_bytes);
  }
  int64_t FreeBytes() const override { return AvailableMemoryBytes(); }

 private:
  static void* AllocateSmall(size_t size_bytes) {
    void* data = std::aligned_alloc(kAlignment, RoundUp(size_bytes, kAlignment));
    if (data != nullptr) std::fill_n(static_cast<std::byte*>(data), size_bytes, std::byte{0});
    return data;
  }

  static void* AllocateLarge(size_t size_bytes) {
    std::byte* data = ReserveAddresses(size_bytes, Access::kReadWrite);
    const size_t pages = RoundUp(size_bytes, kPageBytes);
    if (data != nullptr) PreferHugePages(data, pages / kHugePageBytes * kHugePageBytes);
    return data;
  }

  void Free(void* data, size_t size_bytes) noexcept override {
    if (size_bytes < kHugePageBytes) {
      std::free(data);
    } else {
      ::munmap(data, RoundUp(size_bytes, kPageBytes));
    }
  }
};

}  // namespace

Buffer Allocator::Adopt(void* data, size_t size_bytes) { return Buffer(this, data, size_bytes); }

Buffer::Buffer(Buffer&& other) noexcept
    : allocator_(std::exchange(other.allocator_, nullptr)),
      data_(std::exchange(other.data_, nullptr)),
      size_bytes_(std::exchange(other.size_bytes_, 0)) {}

Buffer& Buffer::operator=(Buffer&& other) noexcept {
  std::swap(allocator_, other.allocator_);
  std::swap(data_, other.data_);
  std::swap(size_bytes_, other.size_bytes_);
  return *this;
}

Buffer::~Buffer() {
  if (allocator_ != nullptr) allocator_->Free(data_, size_bytes_);
}

Allocator& HostAllocator() {
  static HostMemory* memory =
      new HostMemory;  // never destroyed: buffers may outlive static objects
  return *memory;
}

}  // namespace dray
