// Sums of products of bytes with AVX2, included through integer_sums_inl.h only.
//
// The processor's product of bytes takes unsigned weights and signed activations. It adds two
// neighbouring products to an integer of 16 bits, which saturates. No sum here does:
//
//   4-bit weights  The sum of a unit of 64 columns stays in 16 bits: two sums of 32 columns for each
//                  channel. It begins at -8 times the sum of its activations, so that it ends as
//                  the sum of (q - 8) * x, at most 8 * 127 * 32 = 32512 in magnitude. Products are
//                  at most 2 * 15 * 127. On the way the sum may wrap around, which does not change
//                  its end.
//   8-bit weights  SignedBytes: the magnitude of each weight is multiplied with an activation that takes
//                  on the weight's sign. Products are at most 2 * 128 * 127 = 32512, and are widened to
//                  32 bits at once.
//                  PairedBytes: the stored weight, which is unsigned, is multiplied with activations that
//                  are small enough (loud_quads_avx2_inl.h).
//
// The arithmetic is in assembly because g++ 12 spills accumulators around the intrinsics, which
// halves the speed.
#pragma once

#include <cstddef>
#include <cstdint>

namespace dray::kernels::DRAY_ISA {
namespace {

constexpr int kInputBytes = 1;
// With fewer rows, Linear waits for memory.
constexpr int64_t kMinRowsToSetApart = 4;

DRAY_INLINE void StoreInputs(void* p, Vec whole) { StoreI8(static_cast<int8_t*>(p), whole); }

// Four activations of a row. They are spread to all lanes where they are multiplied, because
// loads are cheaper than registers.
using InputQuad = const int32_t*;
DRAY_INLINE InputQuad LoadInputs(const void* p) { return static_cast<const int32_t*>(p); }

// The two 16-bit integers at which NibbleSum begins: -8 times the sum of lanes 0 and 1 of every
// four, and of lanes 2 and 3. For whole rows the sums may be too large, but their kernel does not
// use them.
DRAY_INLINE int32_t PackSum(Vec sum) {
  const __m256 eight = _mm256_add_ps(sum.lo, sum.hi);
  const __m128 four = _mm_add_ps(_mm256_castps256_ps128(eight), _mm256_extractf128_ps(eight, 1));
  const __m128 two = _mm_hadd_ps(four, four);
  const __m128i start = _mm_cvtps_epi32(_mm_mul_ps(two, _mm_set1_ps(-kNibbleZero)));
  return _mm_cvtsi128_si32(_mm_shufflelo_epi16(start, 0x08));
}
DRAY_INLINE int32_t InputSum(int32_t packed) {
  return (static_cast<int16_t>(packed) + (packed >> 16)) / -kNibbleZero;
}

// Eight floats as an operand in memory.
struct FloatsInMemory {
  float of[8];
};
DRAY_INLINE FloatsInMemory& FloatsAt(float* p) { return *reinterpret_cast<FloatsInMemory*>(p); }
DRAY_INLINE const FloatsInMemory& FloatsAt(const float* p) {
  return *reinterpret_cast<const FloatsInMemory*>(p);
}

DRAY_INLINE __m256i Ones16() { return _mm256_set1_epi16(1); }

struct NibbleSum {
  static constexpr int kZero = kNibbleZero;
  using Weights = ByteVec;
  __m256i lo, hi;

  static DRAY_INLINE Weights Prepare(ByteVec stored) { return stored; }
  DRAY_INLINE void Start(int32_t packed) { lo = hi = _mm256_set1_epi32(packed); }
  DRAY_INLINE void Add(const Weights& weights, InputQuad x) {
    __m256i spread, products;
    asm("vpbroadcastd %6, %2\n\tvpmaddubsw %2, %4, %3\n\tvpmaddubsw %2, %5, %2\n\t"
        "vpaddw %3, %0, %0\n\tvpaddw %2, %1, %1"
        : "+x"(lo), "+x"(hi), "=&x"(spread), "=&x"(products)
        : "x"(weights.lo), "x"(weights.hi), "m"(*x));
  }
  // Start, then Add.
  DRAY_INLINE void StartWith(const int32_t& packed, const Weights& weights, InputQuad x) {
    __m256i spread, products;
    asm("vpbroadcastd %6, %2\n\tvpmaddubsw %2, %4, %3\n\tvpmaddubsw %2, %5, %2\n\t"
        "vpbroadcastd %7, %0\n\tvpaddw %2, %0, %1\n\tvpaddw %3, %0, %0"
        : "=&x"(lo), "=&x"(hi), "=&x"(spread), "=&x"(products)
        : "x"(weights.lo), "x"(weights.hi), "m"(*x), "m"(packed));
  }
  DRAY_INLINE IntVec Total() const {
    return {_mm256_madd_epi16(lo, Ones16()), _mm256_madd_epi16(hi, Ones16())};
  }
  // Adds Total times the scales to the float sums, and ends this sum.
  DRAY_INLINE void AddScaledTo(float* sums, const float* scales) {
    __m256 first, second;
    asm("vpmaddwd %8, %0, %0\n\tvpmaddwd %8, %1, %1\n\tvmovups %4, %2\n\tvmovups %5, %3\n\t"
        "vcvtdq2ps %0, %0\n\tvcvtdq2ps %1, %1\n\tvfmadd231ps %6, %0, %2\n\t"
        "vfmadd231ps %7, %1, %3\n\tvmovups %2, %4\n\tvmovups %3, %5"
        : "+x"(lo), "+x"(hi), "=&x"(first), "=&x"(second), "+m"(FloatsAt(sums)),
          "+m"(FloatsAt(sums + 8))
        : "m"(FloatsAt(scales)), "m"(FloatsAt(scales + 8)), "xm"(Ones16()));
  }
};

// Four weights of each of eight channels.
struct SignedBytes {
  static constexpr int kSteps = 1;
  using Inputs = InputQuad;
  __m256i numbers, magnitudes;

  // `stored` holds q + 128. The magnitude of -128 is 128 as an unsigned number.
  static DRAY_INLINE SignedBytes Of(__m256i stored) {
    const __m256i q = _mm256_xor_si256(stored, _mm256_set1_epi8(static_cast<char>(0x80)));
    return {q, _mm256_abs_epi8(q)};
  }
  static DRAY_INLINE SignedBytes Load(const std::byte* w) { return Of(LoadPairs(w)); }
  static DRAY_INLINE Inputs Spread(InputQuad x) { return x; }

  DRAY_INLINE void AddTo(__m256i& sum, InputQuad x) const {
    __m256i products;
    asm("vpbroadcastd %5, %0\n\tvpsignb %2, %0, %0\n\tvpmaddubsw %0, %3, %0\n\t"
        "vpmaddwd %4, %0, %0\n\tvpaddd %0, %1, %1"
        : "=&x"(products), "+x"(sum)
        : "x"(numbers), "x"(magnitudes), "xm"(Ones16()), "m"(*x));
  }
};

// The stored weights of two steps, eight of each of eight channels. The sum that they add to is
// 128 * (sum of the activations) too large.
struct PairedBytes {
  static constexpr int kSteps = 2;
  struct Inputs {
    __m256i first, second;
  };
  __m256i first, second;

  static DRAY_INLINE PairedBytes Load(const std::byte* w) {
    return {LoadPairs(w), LoadPairs(w + kStepBytes)};
  }

  // The quads x[0] and x[1], neither of which is loud beside the other.
  static DRAY_INLINE Inputs Spread(InputQuad x) {
    Inputs inputs;
    asm("vpbroadcastd %2, %0\n\tvpbroadcastd %3, %1"
        : "=&x"(inputs.first), "=x"(inputs.second)
        : "m"(x[0]), "m"(x[1]));
    return inputs;
  }

  DRAY_INLINE void AddTo(__m256i& sum, const Inputs& x) const {
    __m256i products, others;
    asm("vpmaddubsw %5, %3, %0\n\tvpmaddubsw %6, %4, %1\n\tvpaddw %1, %0, %0\n\t"
        "vpmaddwd %7, %0, %0\n\tvpaddd %0, %2, %2"
        : "=&x"(products), "=&x"(others), "+x"(sum)
        : "x"(first), "x"(second), "x"(x.first), "x"(x.second), "xm"(Ones16()));
  }
};

struct ByteSum {
  static constexpr int kZero = kByteWeightZero;
  struct Weights {
    SignedBytes lo, hi;
  };
  __m256i lo, hi;

  static DRAY_INLINE Weights Prepare(ByteVec stored) {
    return {SignedBytes::Of(stored.lo), SignedBytes::Of(stored.hi)};
  }
  DRAY_INLINE void Start(int32_t) { lo = hi = _mm256_setzero_si256(); }
  DRAY_INLINE void Add(const Weights& weights, InputQuad x) {
    weights.lo.AddTo(lo, x);
    weights.hi.AddTo(hi, x);
  }
  DRAY_INLINE IntVec Total() const { return {lo, hi}; }
};

}  // namespace
}  // namespace dray::kernels::DRAY_ISA
