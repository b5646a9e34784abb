// Names of weight formats, and what numbers of a checkpoint mean.
#include "kernels/weight_matrix.h"

#include <fmt/format.h>

#include <algorithm>

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

std::string Name(const WeightForm& form) {
  std::string text(Name(form.format));
  if (form.inputs == Inputs::kFloat) text += " beside bf16";
  if (form.group > 0) text += fmt::format(" in groups of {}", form.group);
  if (form.zero == ZeroPoint::kPerGroup) text += " with zero points";
  return text;
}

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

bool Holds(const MatrixSpec& spec, const QuantizedRows& rows) {
  const int bits = spec.format == WeightFormat::kI4 ? 4 : spec.format == WeightFormat::kI8 ? 8 : 0;
  if (bits != rows.bits) return false;
  if (spec.zero == ZeroPoint::kNone && rows.minimums != nullptr) return false;
  const int64_t group = spec.group == 0 && bits == 4 ? 64 : spec.group;
  if (group == 0) return rows.group >= rows.cols;
  return rows.group >= rows.cols || rows.group % group == 0;
}

}  // namespace dray::kernels
