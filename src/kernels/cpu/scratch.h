// Memory that operations use within a call: grows when a call needs more than any before, and is
// kept, so that a warm backend allocates nothing.
#pragma once

#include <cstddef>
#include <utility>

#include "tensor/buffer.h"

namespace dray::kernels {

class Scratch {
 public:
  // At least `size_bytes` bytes, 64-byte aligned, of undefined content, valid until the next call.
  // Null if there is no memory for them.
  std::byte* Get(size_t size_bytes) {
    if (size_bytes > buffer_.size_bytes()) Grow(size_bytes);
    return buffer_.data();
  }

 private:
  void Grow(size_t size_bytes) {
    buffer_ = Buffer();
    Result<Buffer> grown = HostAllocator().Allocate(size_bytes + size_bytes / 2);
    if (grown.ok()) buffer_ = std::move(grown).value();
  }

  Buffer buffer_;
};

}  // namespace dray::kernels
