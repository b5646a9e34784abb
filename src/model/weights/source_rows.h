// Tensors of a checkpoint that are stored as floats, seen as the rows of the slots that they fill.
#pragma once

#include <cstddef>

#include "checkpoint/checkpoint.h"
#include "kernels/packer.h"
#include "model/families/family_spec.h"

namespace dray::model {

// The tensor seen as [rows, cols] of the slot, whatever its storage; a vector has one column.
kernels::SourceRows AsRows(const checkpoint::TensorSource& source, Transform transform);

// The element at `at`, perhaps unaligned, of `dtype`: f32, f16, bf16 or f64.
float ReadElement(DType dtype, const std::byte* at);

}  // namespace dray::model
