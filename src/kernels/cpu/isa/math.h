// exp, tanh, erf and the activations of sixteen floats. The coefficients are minimax fits (Remez).
// The comments state the largest errors against libm, which are tested.
#pragma once

#include "kernels/backend.h"
#include "kernels/cpu/isa/vec.h"

namespace dray::kernels::DRAY_ISA {

// e^x within 2 ulp for -87.3 <= x <= 88; 0 below, e^88 above; NaN stays NaN. Exp(0) is exactly 1.
inline Vec Exp(Vec x) {
  const Vec magic = Set1(12582912.0f);  // 1.5 * 2^23: adding it rounds to an integer
  const Vec clamped = Min(Set1(88.0f), Max(Set1(-87.3f), x));
  const Vec biased = Fma(clamped, Set1(1.44269504f), magic);
  const Vec n = biased - magic;
  // ln 2 in two parts; n times the first is exact.
  const Vec r = Fma(n, Set1(2.12194440e-4f), Fma(n, Set1(-0.693359375f), clamped));
  Vec p = Set1(1.39505153e-3f);
  p = Fma(p, r, Set1(8.36890282e-3f));
  p = Fma(p, r, Set1(4.16662054e-2f));
  p = Fma(p, r, Set1(0.166665187f));
  p = Fma(p, r, Set1(0.5f));
  const Vec e = Fma(p * r, r, r) + Set1(1.0f);
  return IfLess(x, Set1(-87.3f), Zero(), e * Pow2FromBits(biased));
}

// Within 3 ulp.
inline Vec Tanh(Vec x) {
  const Vec a = Abs(x);
  // Near zero x + x^3 * P(x^2), since 1 - 2 / (e^2a + 1) cancels there.
  const Vec z = x * x;
  Vec p = Set1(2.14759795e-3f);
  p = Fma(p, z, Set1(-8.18275485e-3f));
  p = Fma(p, z, Set1(2.17030064e-2f));
  p = Fma(p, z, Set1(-5.39472127e-2f));
  p = Fma(p, z, Set1(0.133332098f));
  p = Fma(p, z, Set1(-0.333333309f));
  const Vec near = Fma(p * z, x, x);
  const Vec e = Exp(Min(Set1(20.0f), a + a));
  const Vec far = CopySign(Set1(1.0f) - Set1(2.0f) / (e + Set1(1.0f)), x);
  return IfLess(a, Set1(0.625f), near, far);
}

// Within 3 ulp.
inline Vec Erf(Vec x) {
  const Vec z = x * x;
  Vec p = Set1(1.12862055e-4f);
  p = Fma(Fma(Set1(-9.72214359e-6f), z, p), z, Set1(-8.48704326e-4f));
  p = Fma(p, z, Set1(5.22125127e-3f));
  p = Fma(p, z, Set1(-2.68655170e-2f));
  p = Fma(p, z, Set1(0.112837842f));
  p = Fma(p, z, Set1(-0.376126386f));
  // 2 / sqrt(pi) = 1 + 0.128379167: the 1 is added last, so that no precision is lost.
  const Vec near = Fma(Fma(p, z, Set1(0.128379167f)), x, x);
  // erfc(a) = exp(-Q(a)); from 3.95 on erf is one in this precision.
  const Vec a = Min(Set1(3.95f), Abs(x));
  Vec q = Set1(-1.86776689e-4f);
  q = Fma(q, a, Set1(2.95187431e-3f));
  q = Fma(q, a, Set1(-2.18563023e-2f));
  q = Fma(q, a, Set1(0.103147950f));
  q = Fma(q, a, Set1(0.638093587f));
  q = Fma(q, a, Set1(1.12712249f));
  q = Fma(q, a, Set1(3.32692569e-4f));
  const Vec far = CopySign(Set1(1.0f) - Exp(Zero() - q), x);
  return IfLess(Abs(x), Set1(1.0f), near, far);
}

// x * Phi(x), with Phi the distribution function of the normal distribution, as max(x, 0) - a * Phi(-a)
// for a = |x|: nothing cancels on either side. -log2(Phi(-a)) is a polynomial, with the least error in
// [0, 6] (errors count less as the logarithm grows). Beyond 6 the result stays at 6 * Phi(-6) = 6e-9 from
// max(x, 0). The error is at most 4e-7; for negative x it is also at most 3e-5 of the result.
inline Vec Gelu(Vec x) {
  const Vec a = Min(Set1(6.0f), Abs(x));
  Vec q = Set1(2.13584798e-7f);
  q = Fma(q, a, Set1(-2.94809979e-6f));
  q = Fma(q, a, Set1(-1.85528734e-5f));
  q = Fma(q, a, Set1(7.3148252e-4f));
  q = Fma(q, a, Set1(-8.0065215e-3f));
  q = Fma(q, a, Set1(5.32887317e-2f));
  q = Fma(q, a, Set1(0.458893985f));
  q = Fma(q, a, Set1(1.15114987f));
  q = Fma(q, a, Set1(0.999999046f));
  const Vec magic = Set1(12582912.0f);  // 1.5 * 2^23: adding it rounds to an integer
  const Vec biased = magic - q;
  // 2^r for r in [-1/2, 1/2].
  const Vec r = (magic - biased) - q;
  Vec p = Set1(1.32647273e-3f);
  p = Fma(p, r, Set1(9.67151299e-3f));
  p = Fma(p, r, Set1(5.55073358e-2f));
  p = Fma(p, r, Set1(0.240222424f));
  p = Fma(p, r, Set1(0.693147004f));
  p = Fma(p, r, Set1(1.0f));
  return Max(Zero(), x) - a * (p * Pow2FromBits(biased));
}

inline Vec Activate(Activation activation, Vec x) {
  switch (activation) {
    case Activation::kNone:
      return x;
    case Activation::kRelu:
      return Max(Zero(), x);
    case Activation::kGelu:
      return Gelu(x);
    case Activation::kGeluTanh: {
      // x / 2 * (1 + tanh(y)) is x / (1 + e^-2y).
      const Vec minus_2y = Fma(x * x, Set1(-0.0713548163f), Set1(-1.59576912f)) * x;
      return x / (Set1(1.0f) + Exp(minus_2y));
    }
    case Activation::kSilu:
      return x / (Set1(1.0f) + Exp(Zero() - x));
    case Activation::kTanh:
      return Tanh(x);
  }
  return x;
}

}  // namespace dray::kernels::DRAY_ISA
