// Tensors of a checkpoint that are stored as floats, seen as the rows of the slots that they fill.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>

#include "checkpoint/checkpoint.h"
#include "checkpoint/integers/integer_tensor.h"
#include "kernels/packer.h"
#include "model/families/family_spec.h"
#include "model/weights/row_runs.h"

namespace dray::model {

// The tensor seen as [rows, cols] of the slot, whatever its storage; a vector has one column.
kernels::SourceRows AsRows(const checkpoint::TensorSource& source, Transform transform);

// Some columns of the rows of `all` that `run` names.
kernels::SourceRows PartOf(const kernels::SourceRows& all, const RowRun& run,
                           checkpoint::ColumnRange columns);

// Rows are packed, or measured, in pieces before their pages are given back: so many rows of this size,
// whole panels of 32.
int64_t PieceRows(int64_t row_bytes);

// The bytes of the file from the first element to the last.
std::span<const std::byte> SpannedBytes(const kernels::SourceRows& rows);

// The element at `at`, perhaps unaligned, of `dtype`: f32, f16, bf16 or f64.
float ReadElement(DType dtype, const std::byte* at);

}  // namespace dray::model
