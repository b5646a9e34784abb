// Names of weight formats.
#include "kernels/weight_matrix.h"

#include <fmt/format.h>

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

}  // namespace dray::kernels
