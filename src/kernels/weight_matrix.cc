// Names of weight formats.
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

}  // namespace dray::kernels
