#include "kernels/cpu/pack/pack_quantized.h"

#include <algorithm>
#include <cmath>
#include <cstring>

#include "base/check.h"
#include "kernels/cpu/pack/pack_words.h"

namespace dray::kernels {
namespace {

// The columns packed at once if a scale belongs to a whole row. K is padded to a multiple of them.
constexpr int64_t kTileCols = 64;
constexpr float kLargestF16 = 65504.0f;

bool IsFiniteF16(uint16_t half) { return std::isfinite(F16ToF32(half)); }

}  // namespace

// What the group's header becomes.
struct QuantizedPacker::Group {
  GroupHeader header;
  float scale = 0;           // what an error names if the header cannot hold it
  bool is_constant = false;  // all weights have one value, which is the header's scale
};

QuantizedPacker::QuantizedPacker(const WeightMatrix& matrix, int64_t first_row,
                                 const QuantizedRows& source)
    : layout_(matrix.spec()), panels_(matrix.data()), first_row_(first_row), source_(source) {
  DRAY_CHECK(KeepsIntegers(matrix.spec(), source));
}

void QuantizedPacker::Pack(Range panels, UnfitWeights& unfit) const {
  const int64_t cols_at_once = layout_.group > 0 ? layout_.group : kTileCols;
  for (int64_t g = 2 * panels.begin; g < 2 * panels.end; ++g) {
    const Range rows{std::max(g * kWordRows, first_row_),
                     std::min((g + 1) * kWordRows, first_row_ + source_.rows)};
    if (rows.begin >= rows.end) continue;
    if (layout_.group == 0) PackRowScales(rows, unfit);
    for (int64_t col = 0; col < source_.cols; col += cols_at_once) {
      PackColumns(rows, {col, col + cols_at_once}, unfit);
    }
  }
}

void QuantizedPacker::PackRowScales(Range rows, UnfitWeights& unfit) const {
  for (int64_t r = rows.begin; r < rows.end; ++r) {
    const float scale = source_.scales[r - first_row_];
    if (!std::isfinite(scale)) unfit.Note(r, "scale", scale);
    std::memcpy(panels_ + layout_.ScaleOffset(r, 0), &scale, sizeof(scale));
  }
}

void QuantizedPacker::PackColumns(Range rows, Range cols, UnfitWeights& unfit) const {
  alignas(64) uint8_t numbers[kWordRows][kLargestGroup] = {};
  const auto count = static_cast<size_t>(std::min(cols.end, source_.cols) - cols.begin);
  for (int64_t r = rows.begin; r < rows.end; ++r) {
    uint8_t* row = numbers[r - rows.begin];
    std::memcpy(row, source_.values + (r - first_row_) * source_.row_stride + cols.begin, count);
    if (layout_.group > 0) {
      const Group group = GroupAt(r, cols.begin);
      if (!IsFiniteF16(group.header.scale) || !IsFiniteF16(group.header.minus_zero)) {
        unfit.Note(r, "scale", group.scale);
      }
      StoreHeader(layout_, panels_, r, cols.begin, group.header);
      if (group.is_constant) std::memset(row, 1, count);
    }
    if (layout_.format == WeightFormat::kI4) {
      for (size_t c = 0; c < count; ++c) row[c] &= 0x0F;
      PackNibbles(row, cols.end - cols.begin);
    }
  }
  StoreWords(layout_, panels_, rows, cols.begin,
             {reinterpret_cast<const std::byte*>(numbers), kLargestGroup,
              (cols.end - cols.begin) / layout_.cols_per_step()});
}

QuantizedPacker::Group QuantizedPacker::GroupAt(int64_t row, int64_t col) const {
  const int64_t at = (row - first_row_) * source_.groups() + col / source_.group;
  const float scale = source_.scales[at];
  const float half = source_.bits == 4 ? 8.0f : 128.0f;
  if (source_.minimums == nullptr) return {{F32ToF16(scale), F32ToF16(-half)}, scale};
  const float minimum = source_.minimums[at];
  if (std::abs(minimum) > kLargestF16 * std::abs(scale)) {
    // No f16 zero point is that large, and the scale is negligible beside the minimum: all weights
    // of the group are -minimum.
    return {{F32ToF16(-minimum), F32ToF16(0.0f)}, -minimum, true};
  }
  // If the file's zero point was a whole number, and its scale has few bits, so is the quotient.
  const float minus_zero = scale != 0.0f ? -minimum / scale : 0.0f;
  const float unfit = std::isfinite(minimum) ? scale : minimum;
  return {{F32ToF16(scale), F32ToF16(minus_zero)}, unfit};
}

}  // namespace dray::kernels
