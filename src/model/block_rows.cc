#include "model/block_rows.h"

#include <algorithm>

#include "base/check.h"

namespace dray::model {
namespace {

using checkpoint::BlockFormat;
using checkpoint::BlockNumbers;
using checkpoint::BlockOffset;
using kernels::MatrixSpec;
using kernels::WeightFormat;
using kernels::ZeroPoint;

constexpr int64_t kInt4Group = 32;
constexpr int kBits = 4;

// One row: `shift` is added to each value, so that the kernels' zero is the format's.
void UnpackRow(const BlockFormat& format, const std::byte* from, int64_t cols, int shift,
               uint8_t* values, float* scales, float* minimums) {
  BlockNumbers numbers;
  const int64_t groups = format.elements / format.group;
  for (int64_t done = 0; done < cols; done += format.elements, from += format.bytes) {
    format.unpack(from, numbers);
    for (int64_t i = 0; i < format.elements; ++i) {
      values[done + i] = static_cast<uint8_t>(numbers.values[i] + shift);
    }
    const int64_t group = done / format.group;
    std::copy_n(numbers.scales, groups, scales + group);
    if (minimums != nullptr) std::copy_n(numbers.minimums, groups, minimums + group);
  }
}

}  // namespace

bool HoldsBlocks(const MatrixSpec& spec, const BlockFormat& format) {
  const bool has_zero = spec.zero == ZeroPoint::kPerGroup || format.offset == BlockOffset::kZero;
  return spec.format == WeightFormat::kI4 && spec.group == kInt4Group && has_zero &&
         format.bits <= kBits && format.group == kInt4Group;
}

kernels::QuantizedRows UnpackRows(const checkpoint::TensorSource& source, const RowRange& rows,
                                  BlockMemory& memory) {
  const BlockFormat& format = *source.blocks;
  DRAY_CHECK(format.bits <= kBits);
  const int64_t cols = source.shape[1];
  const int64_t groups = cols / format.group;
  const bool has_minimums = format.offset == BlockOffset::kMinimums;
  memory.values.resize(static_cast<size_t>(rows.count * cols));
  memory.scales.resize(static_cast<size_t>(rows.count * groups));
  memory.minimums.resize(has_minimums ? memory.scales.size() : 0);
  const int shift = has_minimums ? 0 : (1 << (kBits - 1)) - format.zero;
  for (int64_t i = 0; i < rows.count; ++i) {
    const int64_t row = rows.first + i * rows.step;
    UnpackRow(format, source.data + source.BytesOf(row * cols), cols, shift,
              memory.values.data() + i * cols, memory.scales.data() + i * groups,
              has_minimums ? memory.minimums.data() + i * groups : nullptr);
  }
  return {.values = memory.values.data(),
          .rows = rows.count,
          .cols = cols,
          .row_stride = cols,
          .bits = kBits,
          .group = format.group,
          .scales = memory.scales.data(),
          .minimums = has_minimums ? memory.minimums.data() : nullptr};
}

WeightFormat NearestFormat(const BlockFormat& format) {
  return format.bits <= kBits ? WeightFormat::kI4 : WeightFormat::kI8;
}

MatrixSpec BlockSpec(MatrixSpec sizes, std::span<const BlockFormat* const> parts) {
  const bool four_bits = std::all_of(parts.begin(), parts.end(), [](const BlockFormat* part) {
    return NearestFormat(*part) == WeightFormat::kI4;
  });
  sizes.format = four_bits ? WeightFormat::kI4 : WeightFormat::kI8;
  if (!four_bits) return sizes;
  const bool has_minimums = std::any_of(parts.begin(), parts.end(), [](const BlockFormat* part) {
    return part->offset == BlockOffset::kMinimums;
  });
  sizes.group = kInt4Group;
  sizes.zero = has_minimums ? ZeroPoint::kPerGroup : ZeroPoint::kNone;
  return sizes;
}

}  // namespace dray::model
