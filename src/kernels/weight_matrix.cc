// Names of weight formats, and what numbers of a checkpoint mean.
#include "kernels/weight_matrix.h"

namespace dray::kernels {

std::string_view Name(WeightFormat format) {
  switch (format) {
    case WeightFormat::kF32:
      return "f32";
    case WeightFormat::kF16:
      return "f16";
    case WeightFormat::kBF16:
      return "bf16";
    case WeightFormat::kI8:
      return "int8";
    case WeightFormat::kI4:
      return "int4";
  }
  return "unknown";
}

float QuantizedRows::At(int64_t row, int64_t col) const {
  const int64_t at = row * groups() + col / group;
  const auto value = static_cast<float>(values[row * row_stride + col]);
  const float half = bits == 4 ? 8.0f : 128.0f;
  return minimums == nullptr ? scales[at] * (value - half) : scales[at] * value - minimums[at];
}

bool Holds(const MatrixSpec& spec, const QuantizedRows& rows) {
  const int bits = spec.format == WeightFormat::kI4 ? 4 : spec.format == WeightFormat::kI8 ? 8 : 0;
  if (bits != rows.bits) return false;
  if (spec.zero == ZeroPoint::kNone && rows.minimums != nullptr) return false;
  const int64_t group = spec.group == 0 && bits == 4 ? 64 : spec.group;
  if (group == 0) return rows.group >= rows.cols;
  return rows.group >= rows.cols || rows.group % group == 0;
}

}  // namespace dray::kernels
