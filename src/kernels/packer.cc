// What the integers of a checkpoint stand for, and which matrices can keep them.
#include "kernels/packer.h"

#include <algorithm>

namespace dray::kernels {

void QuantizedRows::ToFloats(int64_t row, float* out) const {
  const uint8_t* from = values + row * row_stride;
  const float half = bits == 4 ? 8.0f : 128.0f;
  for (int64_t g = 0; g < groups(); ++g) {
    const int64_t at = row * groups() + g;
    const float scale = scales[at];
    const int64_t end = std::min(g * group + group, cols);
    if (minimums == nullptr) {
      for (int64_t c = g * group; c < end; ++c)
        out[c] = scale * (static_cast<float>(from[c]) - half);
    } else {
      const float minimum = minimums[at];
      for (int64_t c = g * group; c < end; ++c)
        out[c] = scale * static_cast<float>(from[c]) - minimum;
    }
  }
}

bool KeepsIntegers(const MatrixSpec& spec, const QuantizedRows& rows) {
  const int bits = spec.format == WeightFormat::kI4 ? 4 : spec.format == WeightFormat::kI8 ? 8 : 0;
  if (bits != rows.bits) return false;
  if (spec.zero == ZeroPoint::kNone && rows.minimums != nullptr) return false;
  const int64_t group = GroupOf(spec);
  if (group == 0) return rows.group >= rows.cols;
  return rows.group >= rows.cols || rows.group % group == 0;
}

MatrixSpec PartSpec(const MatrixSpec& whole, const MatrixPart& part) {
  constexpr int64_t kSmallestGroup = 32;
  MatrixSpec spec = whole;
  spec.rows = part.rows;
  spec.cols = part.cols;
  int64_t group = GroupOf(whole);
  if (group == 0 || part.first_col % group == 0) return spec;
  while (group > kSmallestGroup && part.first_col % group != 0) group /= 2;
  spec.group = group;
  if (part.first_col % group == 0) return spec;
  spec.format = WeightFormat::kI8;
  spec.group = 0;
  spec.zero = ZeroPoint::kNone;
  return spec;
}

}  // namespace dray::kernels
