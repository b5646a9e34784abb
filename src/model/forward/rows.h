// Working memory of forward passes: f32 rows on the device.
#pragma once

#include <cstdint>

#include "kernels/memory.h"
#include "kernels/ops.h"
#include "tensor/tensor.h"

namespace dray::model {

// Memory for `rows` rows of `cols` floats.
inline Result<Tensor> MakeRows(kernels::Memory& memory, int64_t rows, int64_t cols) {
  return Tensor::Make(memory.allocator(), DType::kF32, {rows, cols});
}

// The rows of such a tensor, [rows, cols].
inline kernels::Activations RowsOf(const Tensor& tensor) {
  return {tensor.as<void>(), tensor.dtype(), tensor.shape()[1]};
}

}  // namespace dray::model
