// Sixteen floats in two AVX2 registers, with FMA and F16C. Included through vec.h only.
#pragma once

#include <immintrin.h>

#include <cstdint>

namespace dray::kernels::DRAY_ISA {

#ifdef __AVXVNNI__
inline constexpr char kIsaName[] = "avx-vnni";
inline constexpr int kMaxInt8Rows = 6;
#else
inline constexpr char kIsaName[] = "avx2";
inline constexpr int kMaxInt8Rows = 12;
#endif
inline constexpr int kAccumulators = 6;
inline constexpr int kMaxLinearRows = 6;
inline constexpr int kMaxGroupedRows = 6;
inline constexpr bool kGroupSumsInRegisters = false;
inline constexpr int kIntTemporaries = 2;
// The number of unrolled steps of a loop over weights: those of a whole line.
inline constexpr int kUnrolledSteps = 16;
inline constexpr bool kHasBF16Dot = false;
// Linear with float weights multiplies so many columns with all rows before the next columns; 0: all
// columns at once. The activations of a block then stay in L1 (18 KB). In a loop of its own on Zen 3, 512
// rows of 3072 columns reached .87 of the peak arithmetic in parts, and .83 at once.
inline constexpr int64_t kFloatPartCols = 768;
// Whether it fetches the next panel line by line, evenly over the arithmetic (NextPanel). For 16 rows on
// Zen 3, Linear so reached .76 of the peak, and .66 with some lines at once.
inline constexpr bool kFetchesEvenly = true;

struct Vec {
  __m256 lo, hi;
};

inline Vec Set1(float x) {
  const __m256 v = _mm256_set1_ps(x);
  return {v, v};
}
inline Vec Zero() { return {_mm256_setzero_ps(), _mm256_setzero_ps()}; }
inline Vec Iota() {
  return {_mm256_setr_ps(0, 1, 2, 3, 4, 5, 6, 7), _mm256_setr_ps(8, 9, 10, 11, 12, 13, 14, 15)};
}

inline Vec Load(const float* p) { return {_mm256_loadu_ps(p), _mm256_loadu_ps(p + 8)}; }
inline void Store(float* p, Vec a) {
  _mm256_storeu_ps(p, a.lo);
  _mm256_storeu_ps(p + 8, a.hi);
}

inline Vec operator+(Vec a, Vec b) {
  return {_mm256_add_ps(a.lo, b.lo), _mm256_add_ps(a.hi, b.hi)};
}
inline Vec operator-(Vec a, Vec b) {
  return {_mm256_sub_ps(a.lo, b.lo), _mm256_sub_ps(a.hi, b.hi)};
}
inline Vec operator*(Vec a, Vec b) {
  return {_mm256_mul_ps(a.lo, b.lo), _mm256_mul_ps(a.hi, b.hi)};
}
inline Vec operator/(Vec a, Vec b) {
  return {_mm256_div_ps(a.lo, b.lo), _mm256_div_ps(a.hi, b.hi)};
}
inline Vec Fma(Vec a, Vec b, Vec c) {
  return {_mm256_fmadd_ps(a.lo, b.lo, c.lo), _mm256_fmadd_ps(a.hi, b.hi, c.hi)};
}

inline Vec Max(Vec a, Vec b) { return {_mm256_max_ps(a.lo, b.lo), _mm256_max_ps(a.hi, b.hi)}; }
inline Vec Min(Vec a, Vec b) { return {_mm256_min_ps(a.lo, b.lo), _mm256_min_ps(a.hi, b.hi)}; }
inline Vec IfLess(Vec a, Vec b, Vec x, Vec y) {
  return {_mm256_blendv_ps(y.lo, x.lo, _mm256_cmp_ps(a.lo, b.lo, _CMP_LT_OQ)),
          _mm256_blendv_ps(y.hi, x.hi, _mm256_cmp_ps(a.hi, b.hi, _CMP_LT_OQ))};
}

inline Vec Abs(Vec a) {
  const __m256 sign = _mm256_set1_ps(-0.0f);
  return {_mm256_andnot_ps(sign, a.lo), _mm256_andnot_ps(sign, a.hi)};
}
inline Vec CopySign(Vec magnitude, Vec sign) {
  const __m256 bit = _mm256_set1_ps(-0.0f);
  return {_mm256_or_ps(magnitude.lo, _mm256_and_ps(bit, sign.lo)),
          _mm256_or_ps(magnitude.hi, _mm256_and_ps(bit, sign.hi))};
}
inline __m256 Pow2FromBitsHalf(__m256 a) {
  return _mm256_castsi256_ps(_mm256_add_epi32(_mm256_slli_epi32(_mm256_castps_si256(a), 23),
                                              _mm256_set1_epi32(0x3F800000)));
}
inline Vec Pow2FromBits(Vec a) { return {Pow2FromBitsHalf(a.lo), Pow2FromBitsHalf(a.hi)}; }

inline float Sum(Vec a) {
  // Every vec_*_inl.h adds in the same tree: halves, quarters, then pairs two apart.
  const __m128 q0 = _mm256_castps256_ps128(a.lo), q1 = _mm256_extractf128_ps(a.lo, 1);
  const __m128 q2 = _mm256_castps256_ps128(a.hi), q3 = _mm256_extractf128_ps(a.hi, 1);
  const __m128 s = _mm_add_ps(_mm_add_ps(q0, q2), _mm_add_ps(q1, q3));
  const __m128 t = _mm_add_ps(s, _mm_movehl_ps(s, s));
  return _mm_cvtss_f32(_mm_add_ss(t, _mm_shuffle_ps(t, t, 1)));
}
inline float MaxOf(Vec a) {
  const __m256 m = _mm256_max_ps(a.lo, a.hi);
  const __m128 q = _mm_max_ps(_mm256_castps256_ps128(m), _mm256_extractf128_ps(m, 1));
  const __m128 t = _mm_max_ps(q, _mm_movehl_ps(q, q));
  return _mm_cvtss_f32(_mm_max_ss(t, _mm_shuffle_ps(t, t, 1)));
}

inline __m128i LoadHalves(const uint16_t* p) {
  return _mm_loadu_si128(reinterpret_cast<const __m128i*>(p));
}
inline __m256 WidenBF16(__m128i x) {
  return _mm256_castsi256_ps(_mm256_slli_epi32(_mm256_cvtepu16_epi32(x), 16));
}
inline Vec LoadBF16(const uint16_t* p) {
  return {WidenBF16(LoadHalves(p)), WidenBF16(LoadHalves(p + 8))};
}
inline Vec LoadF16(const uint16_t* p) {
  return {_mm256_cvtph_ps(LoadHalves(p)), _mm256_cvtph_ps(LoadHalves(p + 8))};
}
// The bf16 nearest to each float (ties to even; NaN stays NaN) in the lower half of each lane.
inline __m256i RoundToBF16(__m256 a) {
  const __m256i bits = _mm256_castps_si256(a);
  const __m256i odd = _mm256_and_si256(_mm256_srli_epi32(bits, 16), _mm256_set1_epi32(1));
  const __m256i rounded = _mm256_add_epi32(bits, _mm256_add_epi32(odd, _mm256_set1_epi32(0x7FFF)));
  const __m256i quiet = _mm256_or_si256(bits, _mm256_set1_epi32(0x400000));
  const __m256i is_nan = _mm256_castps_si256(_mm256_cmp_ps(a, a, _CMP_UNORD_Q));
  return _mm256_srli_epi32(_mm256_blendv_epi8(rounded, quiet, is_nan), 16);
}
inline void StoreBF16(uint16_t* p, Vec a) {
  const __m256i packed = _mm256_packus_epi32(RoundToBF16(a.lo), RoundToBF16(a.hi));
  _mm256_storeu_si256(reinterpret_cast<__m256i*>(p), _mm256_permute4x64_epi64(packed, 0xD8));
}
inline void StoreF16(uint16_t* p, Vec a) {
  _mm_storeu_si128(reinterpret_cast<__m128i*>(p), _mm256_cvtps_ph(a.lo, _MM_FROUND_TO_NEAREST_INT));
  _mm_storeu_si128(reinterpret_cast<__m128i*>(p + 8),
                   _mm256_cvtps_ph(a.hi, _MM_FROUND_TO_NEAREST_INT));
}

inline Vec LoadI8(const int8_t* p) {
  const __m128i bytes = _mm_loadu_si128(reinterpret_cast<const __m128i*>(p));
  return {_mm256_cvtepi32_ps(_mm256_cvtepi8_epi32(bytes)),
          _mm256_cvtepi32_ps(_mm256_cvtepi8_epi32(_mm_unpackhi_epi64(bytes, bytes)))};
}
inline void StoreI8(int8_t* p, Vec whole) {
  const __m256i shorts =
      _mm256_packs_epi32(_mm256_cvtps_epi32(whole.lo), _mm256_cvtps_epi32(whole.hi));
  const __m256i ordered = _mm256_permute4x64_epi64(shorts, 0xD8);
  _mm_storeu_si128(
      reinterpret_cast<__m128i*>(p),
      _mm_packs_epi16(_mm256_castsi256_si128(ordered), _mm256_extracti128_si256(ordered, 1)));
}

inline __m256i LoadPairs(const void* p) {
  return _mm256_loadu_si256(static_cast<const __m256i*>(p));
}
inline Vec LoadBF16First(const void* p) {
  const auto* bytes = static_cast<const char*>(p);
  return {_mm256_castsi256_ps(_mm256_slli_epi32(LoadPairs(bytes), 16)),
          _mm256_castsi256_ps(_mm256_slli_epi32(LoadPairs(bytes + 32), 16))};
}
inline Vec LoadBF16Second(const void* p) {
  const auto* bytes = static_cast<const char*>(p);
  const __m256i mask = _mm256_set1_epi32(static_cast<int>(0xFFFF0000u));
  return {_mm256_castsi256_ps(_mm256_and_si256(LoadPairs(bytes), mask)),
          _mm256_castsi256_ps(_mm256_and_si256(LoadPairs(bytes + 32), mask))};
}

struct IntVec {
  __m256i lo, hi;
};
struct ByteVec {
  __m256i lo, hi;
};

inline IntVec IntSet1(int32_t x) {
  const __m256i v = _mm256_set1_epi32(x);
  return {v, v};
}
inline IntVec operator+(IntVec a, IntVec b) {
  return {_mm256_add_epi32(a.lo, b.lo), _mm256_add_epi32(a.hi, b.hi)};
}
inline Vec ToFloats(IntVec a) { return {_mm256_cvtepi32_ps(a.lo), _mm256_cvtepi32_ps(a.hi)}; }
inline ByteVec LoadBytes(const void* p) {
  return {LoadPairs(p), LoadPairs(static_cast<const char*>(p) + 32)};
}
inline ByteVec LowNibbles(ByteVec a) {
  const __m256i mask = _mm256_set1_epi8(0x0F);
  return {_mm256_and_si256(a.lo, mask), _mm256_and_si256(a.hi, mask)};
}
inline ByteVec HighNibbles(ByteVec a) {
  return LowNibbles({_mm256_srli_epi16(a.lo, 4), _mm256_srli_epi16(a.hi, 4)});
}

template <int kByte>
__m256 ByteLess128Half(__m256i a) {
  const __m256i bytes = _mm256_xor_si256(a, _mm256_set1_epi8(static_cast<char>(0x80)));
  return _mm256_cvtepi32_ps(_mm256_srai_epi32(_mm256_slli_epi32(bytes, 24 - 8 * kByte), 24));
}
template <int kByte>
Vec ByteLess128(ByteVec a) {
  return {ByteLess128Half<kByte>(a.lo), ByteLess128Half<kByte>(a.hi)};
}
inline __m256i PairsHalf(__m256 first, __m256 second) {
  return _mm256_blend_epi16(_mm256_srli_epi32(_mm256_castps_si256(first), 16),
                            _mm256_castps_si256(second), 0xAA);
}
inline void StorePairs(void* p, Vec first, Vec second) {
  auto* halves = static_cast<__m256i*>(p);
  _mm256_store_si256(halves, PairsHalf(first.lo, second.lo));
  _mm256_store_si256(halves + 1, PairsHalf(first.hi, second.hi));
}

#ifdef __AVXVNNI__
inline constexpr int kQuantizedBytes = 1;
struct QuadVec {
  __m256i v;
};
inline QuadVec LoadQuad(const void* p) {
  int32_t quad;
  __builtin_memcpy(&quad, p, sizeof(quad));
  return {_mm256_set1_epi32(quad)};
}
// In assembly because g++ 12 spills accumulators around the intrinsic.
inline __m256i DotHalf(__m256i acc, __m256i weights, QuadVec x) {
  asm("%{vex%} vpdpbusd %2, %1, %0" : "+x"(acc) : "x"(weights), "x"(x.v));
  return acc;
}
inline void StoreQuantized(void* p, Vec rounded) { StoreI8(static_cast<int8_t*>(p), rounded); }
#else
// Bytes 0 and 2, and bytes 1 and 3, of each four as pairs of 16 bits. The product of bytes
// saturates; integer_sums_avx2_inl.h says how Linear avoids that.
inline constexpr int kQuantizedBytes = 2;
struct QuadVec {
  __m256i even, odd;
};
inline QuadVec LoadQuad(const void* p) {
  int32_t pairs[2];
  __builtin_memcpy(pairs, p, sizeof(pairs));
  return {_mm256_set1_epi32(pairs[0]), _mm256_set1_epi32(pairs[1])};
}
inline __m256i DotHalf(__m256i acc, __m256i weights, QuadVec x) {
  const __m256i even = _mm256_and_si256(weights, _mm256_set1_epi16(0x00FF));
  const __m256i odd = _mm256_srli_epi16(weights, 8);
  return _mm256_add_epi32(
      acc, _mm256_add_epi32(_mm256_madd_epi16(even, x.even), _mm256_madd_epi16(odd, x.odd)));
}
// Sixteen numbers as 0 2 1 3, 4 6 5 7, ... of 16 bits.
inline void StoreQuantized(void* p, Vec rounded) {
  const __m256i order = _mm256_setr_epi8(0, 1, 4, 5, 2, 3, 6, 7, 8, 9, 12, 13, 10, 11, 14, 15,  //
                                         0, 1, 4, 5, 2, 3, 6, 7, 8, 9, 12, 13, 10, 11, 14, 15);
  const __m256i packed =
      _mm256_packs_epi32(_mm256_cvtps_epi32(rounded.lo), _mm256_cvtps_epi32(rounded.hi));
  const __m256i shorts = _mm256_permute4x64_epi64(packed, 0xD8);
  _mm256_storeu_si256(static_cast<__m256i*>(p), _mm256_shuffle_epi8(shorts, order));
}
#endif
inline IntVec DotBytes(IntVec acc, ByteVec weights, QuadVec x) {
  return {DotHalf(acc.lo, weights.lo, x), DotHalf(acc.hi, weights.hi, x)};
}

// All ones in the lanes below n.
inline __m256i MaskBelow(int64_t n) {
  return _mm256_cmpgt_epi32(_mm256_set1_epi32(static_cast<int>(n)),
                            _mm256_setr_epi32(0, 1, 2, 3, 4, 5, 6, 7));
}
inline Vec LoadPartial(const float* p, int64_t n) {
  return {_mm256_maskload_ps(p, MaskBelow(n)), _mm256_maskload_ps(p + 8, MaskBelow(n - 8))};
}
inline void StorePartial(float* p, Vec a, int64_t n) {
  _mm256_maskstore_ps(p, MaskBelow(n), a.lo);
  _mm256_maskstore_ps(p + 8, MaskBelow(n - 8), a.hi);
}

// In assembly because g++ 12 moves the intrinsics of an unrolled loop to its start. Such a burst
// fills the queue of outstanding reads: 8 rows of int8 then reach .74 of the bandwidth instead of
// .89.
inline void PrefetchNear(const void* p) {
  asm volatile("prefetcht0 %0" : : "m"(*static_cast<const char*>(p)));
}
inline void PrefetchFar(const void* p) {
  asm volatile("prefetcht1 %0" : : "m"(*static_cast<const char*>(p)));
}
// In assembly, because g++ 12 removes calls of functions that do nothing but prefetch by its builtin.
inline void PrefetchForWrite(const void* p) {
  asm volatile("prefetchw %0" : : "m"(*static_cast<const char*>(p)));
}

}  // namespace dray::kernels::DRAY_ISA
