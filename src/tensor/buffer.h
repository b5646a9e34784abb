// A buffer is an owned piece of a device's memory, made by the device's allocator. Only a backend's
// operations and copies may touch its bytes, because the host cannot address the memory of every
// device. The allocator of the host's memory is here too.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <utility>

#include "base/status.h"

namespace dray {

class Buffer;

// Allocates and frees the memory of one device. Must outlive its buffers. Thread-safe. On a device
// that runs behind the host, freeing waits for the operations that were called before.
class Allocator {
 public:
  virtual ~Allocator() = default;
  // Allocates zeros, aligned to 64 bytes or more. kResourceExhausted, naming the size, if there is
  // not enough memory.
  virtual Result<Buffer> Allocate(size_t size_bytes) = 0;
  // The bytes of the device's memory that can be allocated now. Other programs may take them first.
  virtual int64_t FreeBytes() const = 0;

 private:
  friend class Buffer;
  virtual void Free(void* data, size_t size_bytes) noexcept = 0;

 protected:
  Buffer Adopt(void* data, size_t size_bytes);
};

class Buffer {
 public:
  Buffer() = default;
  Buffer(Buffer&& other) noexcept;
  Buffer& operator=(Buffer&& other) noexcept;
  Buffer(const Buffer&) = delete;
  Buffer& operator=(const Buffer&) = delete;
  ~Buffer();

  // An address in the device's memory. Only the device's own operations may dereference it.
  std::byte* data() const { return static_cast<std::byte*>(data_); }
  size_t size_bytes() const { return size_bytes_; }

 private:
  friend class Allocator;
  Buffer(Allocator* allocator, void* data, size_t size_bytes)
      : allocator_(allocator), data_(data), size_bytes_(size_bytes) {}

  Allocator* allocator_ = nullptr;
  void* data_ = nullptr;
  size_t size_bytes_ = 0;
};

// Allocates the host's memory as anonymous pages: untouched pages take no memory, and freed pages
// go back to the system at once. Buffers of 2 MiB and more ask for huge pages.
Allocator& HostAllocator();

}  // namespace dray
