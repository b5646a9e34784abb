// Operations on single rows: norms, gated and other activations.
#include <cstdint>

#include "kernels/cpu/isa/math.h"
#include "kernels/cpu/isa/ops.h"
#include "kernels/cpu/isa/vec.h"

namespace dray::kernels::DRAY_ISA {
namespace {

// The sum of f(x, lane_count) over a vector, in an order that `cols` decides: vectors go to four
// accumulators in turn, which are added as a tree.
template <typename Function>
float SumOver(const float* x, int64_t cols, const Function& f) {
  Vec acc[4] = {Zero(), Zero(), Zero(), Zero()};
  int64_t c = 0;
  for (; c + 4 * kLanes <= cols; c += 4 * kLanes) {
    for (int i = 0; i < 4; ++i) acc[i] = f(Load(x + c + i * kLanes), kLanes, acc[i]);
  }
  for (int i = 0; c < cols; c += kLanes, ++i) {
    acc[i] = f(LoadUpTo(x + c, cols - c), cols - c, acc[i]);
  }
  return Sum((acc[0] + acc[2]) + (acc[1] + acc[3]));
}

float SumOfSquares(const float* x, int64_t cols, float mean) {
  const Vec mean_vec = Set1(mean);
  return SumOver(x, cols, [&](Vec v, int64_t n, Vec acc) {
    // Lanes behind the row's end are zero: they must not count as -mean.
    const Vec d = IfLess(Iota(), Set1(static_cast<float>(n)), v - mean_vec, Zero());
    return Fma(d, d, acc);
  });
}

float InverseSqrt(float x) { return 1.0f / __builtin_sqrtf(x); }

void Normalise(const VectorNorm& norm, const float* x, int64_t cols, float* out) {
  const float count = static_cast<float>(cols);
  float mean = 0.0f;
  if (norm.kind == NormKind::kLayerNorm) {
    mean = SumOver(x, cols, [](Vec v, int64_t, Vec acc) { return acc + v; }) / count;
  }
  const Vec scale = Set1(InverseSqrt(SumOfSquares(x, cols, mean) / count + norm.eps));
  const Vec shift = Set1(mean);
  for (int64_t c = 0; c < cols; c += kLanes) {
    const int64_t n = cols - c;
    Vec v = (LoadUpTo(x + c, n) - shift) * scale;
    if (norm.weight != nullptr) v = v * LoadUpTo(norm.weight + c, n);
    if (norm.bias != nullptr) v = v + LoadUpTo(norm.bias + c, n);
    StoreUpTo(out + c, v, n);
  }
}

}  // namespace

void NormRows(const NormArgs& args, Range rows) {
  for (int64_t r = rows.begin; r < rows.end; ++r) {
    Normalise(args.norm, args.x.as<float>() + r * args.x.stride, args.cols,
              args.out.as<float>() + r * args.out.stride);
  }
}

const float* RowToPack(const PackActivationsTask& task, int64_t row) {
  const float* x = task.x + row * task.x_stride;
  if (task.norm == nullptr) return x;
  Normalise(*task.norm, x, task.cols, task.normed);
  return task.normed;
}

void Gate(Activation activation, const float* gates_and_values, int64_t width, float* out) {
  for (int64_t c = 0; c < width; c += kLanes) {
    const int64_t n = width - c;
    const Vec gate = LoadUpTo(gates_and_values + c, n);
    StoreUpTo(out + c, Activate(activation, gate) * LoadUpTo(gates_and_values + width + c, n), n);
  }
}

namespace {

template <typename Function>
void MapArray(const float* x, float* out, int64_t count, const Function& f) {
  for (int64_t i = 0; i < count; i += kLanes) {
    StoreUpTo(out + i, f(LoadUpTo(x + i, count - i)), count - i);
  }
}

template <Activation kActivation>
void Activated(const float* x, float* out, int64_t count) {
  MapArray(x, out, count, [](Vec v) { return Activate(kActivation, v); });
}

}  // namespace

void ActivateArray(Activation activation, const float* x, float* out, int64_t count) {
  switch (activation) {
    case Activation::kNone:
      return Activated<Activation::kNone>(x, out, count);
    case Activation::kRelu:
      return Activated<Activation::kRelu>(x, out, count);
    case Activation::kGelu:
      return Activated<Activation::kGelu>(x, out, count);
    case Activation::kGeluTanh:
      return Activated<Activation::kGeluTanh>(x, out, count);
    case Activation::kSilu:
      return Activated<Activation::kSilu>(x, out, count);
    case Activation::kTanh:
      return Activated<Activation::kTanh>(x, out, count);
  }
}
void ExpArray(const float* x, float* out, int64_t count) { MapArray(x, out, count, Exp); }
void ErfArray(const float* x, float* out, int64_t count) { MapArray(x, out, count, Erf); }
void TanhArray(const float* x, float* out, int64_t count) { MapArray(x, out, count, Tanh); }

}  // namespace dray::kernels::DRAY_ISA
