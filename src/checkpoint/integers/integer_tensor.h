// A matrix that a checkpoint holds as small integers with scales, whatever the order of its bits:
// how it is kept, and where it lies in the files.
#pragma once

#include <cstdint>
#include <span>

#include "checkpoint/tensor_source.h"
#include "kernels/packer.h"

namespace dray::checkpoint {

class IntegerTensor : public kernels::QuantizedSource {
 public:
  // The matrix form that is nearest: one that holds the numbers as they are, if there is one.
  // Otherwise they are rounded again.
  virtual kernels::MatrixSpec form() const = 0;
  // What it is read from, the integers first.
  virtual std::span<const TensorSource* const> sources() const = 0;
  // The bytes that hold rows [first, first + count) and no others; none if rows share bytes.
  virtual std::span<const std::byte> BytesOfRows(int64_t first, int64_t count) const = 0;

  int64_t elements() const { return form().rows * form().cols; }
  uint64_t stored_bytes() const {
    uint64_t total = 0;
    for (const TensorSource* source : sources()) total += source->bytes().size();
    return total;
  }
};

}  // namespace dray::checkpoint
