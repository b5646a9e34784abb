// An owned piece of one device's memory, made by the device's allocator. The host's allocator is
// here. Only operations of a kernel backend and explicit copies touch the bytes of a buffer: on the
// host they are plain memory, on another device they are not addressable here.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <utility>

#include "base/status.h"

namespace dray {

class Buffer;

// Makes and frees the memory of one device. Must outlive its buffers. Thread-safe.
class Allocator {
 public:
  virtual ~Allocator() = default;
  // Zero-filled memory, aligned to 64 bytes or better. kResourceExhausted, naming the size, if
  // there is none.
  virtual Result<Buffer> Allocate(size_t size_bytes) = 0;
  // Bytes of the device's memory that can still be allocated, as far as is known now; others may
  // take them first.
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

  // An address in the device's memory; dereference it only if the device is the host.
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

// The host's memory: anonymous pages, so that untouched parts cost nothing and freed parts go back
// at once. Buffers of 2 MiB and more ask for large pages.
Allocator& HostAllocator();

}  // namespace dray
