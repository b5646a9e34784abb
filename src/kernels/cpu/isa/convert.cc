// Conversions between the formats that checkpoints hold and those that weights are stored in.
#include <cstdint>

#include "kernels/cpu/isa/ops.h"
#include "kernels/cpu/isa/vec.h"

namespace dray::kernels::DRAY_ISA {
namespace {

// f64 is rare in checkpoints: the compiler's own loop will do.
struct F64 {
  using Type = double;
  static Vec LoadVec(const double* p) {
    float lanes[kLanes];
    for (int i = 0; i < kLanes; ++i) lanes[i] = static_cast<float>(p[i]);
    return Load(lanes);
  }
};

template <typename From, typename To>
void ConvertAs(const void* from, void* to, int64_t count) {
  const auto* in = static_cast<const typename From::Type*>(from);
  auto* out = static_cast<typename To::Type*>(to);
  int64_t i = 0;
  for (; i + kLanes <= count; i += kLanes) To::StoreVec(out + i, From::LoadVec(in + i));
  if (i < count) {
    typename To::Type lanes[kLanes];
    To::StoreVec(lanes, LoadFirst<From>(in + i, count - i));
    for (int64_t j = 0; i + j < count; ++j) out[i + j] = lanes[j];
  }
}

template <typename From>
void ConvertFrom(const void* from, WeightFormat format, void* to, int64_t count) {
  switch (format) {
    case WeightFormat::kF32:
      return ConvertAs<From, F32>(from, to, count);
    case WeightFormat::kF16:
      return ConvertAs<From, F16>(from, to, count);
    case WeightFormat::kBF16:
      return ConvertAs<From, BF16>(from, to, count);
  }
}

}  // namespace

void ConvertArray(DType dtype, const void* from, WeightFormat format, void* to, int64_t count) {
  switch (dtype) {
    case DType::kF16:
      return ConvertFrom<F16>(from, format, to, count);
    case DType::kBF16:
      return ConvertFrom<BF16>(from, format, to, count);
    case DType::kF64:
      return ConvertFrom<F64>(from, format, to, count);
    default:
      return ConvertFrom<F32>(from, format, to, count);
  }
}

}  // namespace dray::kernels::DRAY_ISA
