// A device's memory as the host sees it: it can be allocated and copied to and from, but only the
// device's own operations (ops.h) read or write it in place.
#pragma once

#include <cstddef>

#include "base/status.h"
#include "tensor/buffer.h"

namespace dray::kernels {

class Memory {
 public:
  virtual ~Memory() = default;

  // Allocates the device's memory, and knows how much of it is free.
  virtual Allocator& allocator() = 0;

  // Copies `bytes` bytes to the device. The source has been read when the call returns; operations
  // that are called later see the copy.
  virtual Status CopyFromHost(void* device_dst, const void* host_src, size_t bytes) = 0;
  // Waits for every operation called so far, then copies `bytes` bytes to the host. If one of these
  // operations failed, returns its error and copies nothing.
  virtual Status CopyToHost(void* host_dst, const void* device_src, size_t bytes) = 0;
};

}  // namespace dray::kernels
