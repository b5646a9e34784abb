// An owned piece of one device's memory. The device's allocator makes it; the host's is here.
#pragma once

#include <cstddef>
#include <memory>
#include <utility>

#include "base/status.h"
#include "tensor/device.h"

namespace dray {

class Buffer;

// Makes and frees the memory of one device. Must outlive its buffers. Thread-safe.
class Allocator {
 public:
  virtual ~Allocator() = default;
  virtual Device device() const = 0;
  // Zero-filled memory, aligned to 64 bytes or better. kResourceExhausted, naming the size, if
  // there is none.
  virtual Result<Buffer> Allocate(size_t size_bytes) = 0;

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

  // An address in the device's memory; dereference it only if the device is the host.
  std::byte* data() const { return static_cast<std::byte*>(data_); }
  size_t size_bytes() const { return size_bytes_; }
  Device device() const { return allocator_ == nullptr ? Device{} : allocator_->device(); }

 private:
  friend class Allocator;
  Buffer(Allocator* allocator, void* data, size_t size_bytes)
      : allocator_(allocator), data_(data), size_bytes_(size_bytes) {}

  Allocator* allocator_ = nullptr;
  void* data_ = nullptr;
  size_t size_bytes_ = 0;
};

// The host's memory: anonymous pages, so that untouched parts cost nothing and freed parts go back
// at once. Buffers of 2 MiB and more ask for large pages.
Allocator& HostAllocator();

}  // namespace dray
