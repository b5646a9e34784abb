// Sixteen floats in one AVX-512 register; with the BF16 extension also its dot product of pairs.
// Included through vec.h only.
#pragma once

#include <immintrin.h>

#include <cstdint>

namespace dray::kernels::DRAY_ISA {

#ifdef __AVX512BF16__
inline constexpr char kIsaName[] = "avx512-bf16";
inline constexpr bool kHasBF16Dot = true;
#else
#ifdef __AVX512VNNI__
inline constexpr char kIsaName[] = "avx512-vnni";
#else
inline constexpr char kIsaName[] = "avx512";
#endif
inline constexpr bool kHasBF16Dot = false;
#endif
inline constexpr int kAccumulators = 25;
inline constexpr int kMaxLinearRows = 12;
inline constexpr int kMaxInt8Rows = 12;
inline constexpr int kMaxGroupedRows = 6;
inline constexpr bool kGroupSumsInRegisters = true;
inline constexpr int kIntTemporaries = 1;
// vec_avx2_inl.h explains these.
inline constexpr int64_t kFloatPartCols = 0;
inline constexpr bool kFetchesEvenly = false;
// The number of unrolled steps of a loop over weights: those of a whole line.
inline constexpr int kUnrolledSteps = 16;

struct Vec {
  __m512 v;
};

inline Vec Set1(float x) { return {_mm512_set1_ps(x)}; }
inline Vec Zero() { return {_mm512_setzero_ps()}; }
inline Vec Iota() { return {_mm512_setr_ps(0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15)}; }

inline Vec Load(const float* p) { return {_mm512_loadu_ps(p)}; }
inline void Store(float* p, Vec a) { _mm512_storeu_ps(p, a.v); }

inline Vec operator+(Vec a, Vec b) { return {_mm512_add_ps(a.v, b.v)}; }
inline Vec operator-(Vec a, Vec b) { return {_mm512_sub_ps(a.v, b.v)}; }
inline Vec operator*(Vec a, Vec b) { return {_mm512_mul_ps(a.v, b.v)}; }
inline Vec operator/(Vec a, Vec b) { return {_mm512_div_ps(a.v, b.v)}; }
inline Vec Fma(Vec a, Vec b, Vec c) { return {_mm512_fmadd_ps(a.v, b.v, c.v)}; }

// The forms with a full mask: g++ 12 warns about an undefined operand inside the plain ones.
inline Vec Max(Vec a, Vec b) { return {_mm512_maskz_max_ps(0xFFFF, a.v, b.v)}; }
inline Vec Min(Vec a, Vec b) { return {_mm512_maskz_min_ps(0xFFFF, a.v, b.v)}; }
inline Vec IfLess(Vec a, Vec b, Vec x, Vec y) {
  return {_mm512_mask_blend_ps(_mm512_cmp_ps_mask(a.v, b.v, _CMP_LT_OQ), y.v, x.v)};
}

inline Vec Abs(Vec a) {
  return {_mm512_castsi512_ps(
      _mm512_and_epi32(_mm512_castps_si512(a.v), _mm512_set1_epi32(0x7FFFFFFF)))};
}
inline Vec CopySign(Vec magnitude, Vec sign) {
  return {_mm512_or_ps(magnitude.v, _mm512_and_ps(_mm512_set1_ps(-0.0f), sign.v))};
}
inline Vec Pow2FromBits(Vec a) {
  return {_mm512_castsi512_ps(
      _mm512_add_epi32(_mm512_maskz_slli_epi32(0xFFFF, _mm512_castps_si512(a.v), 23),
                       _mm512_set1_epi32(0x3F800000)))};
}

inline __m128 Quarter(Vec a, int i) {
  alignas(64) float lanes[16];
  _mm512_store_ps(lanes, a.v);
  return _mm_load_ps(lanes + 4 * i);
}
inline float Sum(Vec a) {
  // Every vec_*_inl.h adds in the same tree: halves, quarters, then pairs two apart.
  const __m128 s = _mm_add_ps(_mm_add_ps(Quarter(a, 0), Quarter(a, 2)),
                              _mm_add_ps(Quarter(a, 1), Quarter(a, 3)));
  const __m128 t = _mm_add_ps(s, _mm_movehl_ps(s, s));
  return _mm_cvtss_f32(_mm_add_ss(t, _mm_shuffle_ps(t, t, 1)));
}
inline float MaxOf(Vec a) {
  const __m128 q = _mm_max_ps(_mm_max_ps(Quarter(a, 0), Quarter(a, 2)),
                              _mm_max_ps(Quarter(a, 1), Quarter(a, 3)));
  const __m128 t = _mm_max_ps(q, _mm_movehl_ps(q, q));
  return _mm_cvtss_f32(_mm_max_ss(t, _mm_shuffle_ps(t, t, 1)));
}

inline __m256i LoadHalves(const uint16_t* p) {
  return _mm256_loadu_si256(reinterpret_cast<const __m256i*>(p));
}
inline Vec LoadBF16(const uint16_t* p) {
  const __m512i wide = _mm512_maskz_cvtepu16_epi32(0xFFFF, LoadHalves(p));
  return {_mm512_castsi512_ps(_mm512_maskz_slli_epi32(0xFFFF, wide, 16))};
}
inline Vec LoadF16(const uint16_t* p) { return {_mm512_maskz_cvtph_ps(0xFFFF, LoadHalves(p))}; }
// Integer arithmetic, although some processors have an instruction for it: that instruction
// flushes subnormals.
inline void StoreBF16(uint16_t* p, Vec a) {
  const __m512i bits = _mm512_castps_si512(a.v);
  const __m512i odd =
      _mm512_and_epi32(_mm512_maskz_srli_epi32(0xFFFF, bits, 16), _mm512_set1_epi32(1));
  const __m512i rounded = _mm512_add_epi32(bits, _mm512_add_epi32(odd, _mm512_set1_epi32(0x7FFF)));
  const __mmask16 is_nan = _mm512_cmp_ps_mask(a.v, a.v, _CMP_UNORD_Q);
  const __m512i fixed = _mm512_mask_or_epi32(rounded, is_nan, bits, _mm512_set1_epi32(0x400000));
  const __m512i high = _mm512_maskz_srli_epi32(0xFFFF, fixed, 16);
  _mm256_storeu_si256(reinterpret_cast<__m256i*>(p), _mm512_maskz_cvtepi32_epi16(0xFFFF, high));
}
inline void StoreF16(uint16_t* p, Vec a) {
  _mm256_storeu_si256(reinterpret_cast<__m256i*>(p),
                      _mm512_maskz_cvtps_ph(0xFFFF, a.v, _MM_FROUND_TO_NEAREST_INT));
}

inline Vec LoadI8(const int8_t* p) {
  const __m128i bytes = _mm_loadu_si128(reinterpret_cast<const __m128i*>(p));
  return {_mm512_maskz_cvtepi32_ps(0xFFFF, _mm512_maskz_cvtepi8_epi32(0xFFFF, bytes))};
}
inline void StoreI8(int8_t* p, Vec whole) {
  const __m512i ints = _mm512_maskz_cvtps_epi32(0xFFFF, whole.v);
  _mm_storeu_si128(reinterpret_cast<__m128i*>(p), _mm512_maskz_cvtepi32_epi8(0xFFFF, ints));
}

inline __m512i LoadPairs(const void* p) { return _mm512_loadu_si512(p); }
inline Vec LoadBF16First(const void* p) {
  return {_mm512_castsi512_ps(_mm512_maskz_slli_epi32(0xFFFF, LoadPairs(p), 16))};
}
inline Vec LoadBF16Second(const void* p) {
  return {_mm512_castsi512_ps(
      _mm512_and_epi32(LoadPairs(p), _mm512_set1_epi32(static_cast<int>(0xFFFF0000u))))};
}

#ifdef __AVX512BF16__
// acc + first(weights) * first(x) + second(weights) * second(x) for sixteen pairs of bf16 weights
// and one pair of activations.
inline Vec DotBF16(Vec acc, __m512i weights, int32_t x_pair) {
  return {_mm512_dpbf16_ps(acc.v, reinterpret_cast<__m512bh>(weights),
                           reinterpret_cast<__m512bh>(_mm512_set1_epi32(x_pair)))};
}
// As StoreBF16, but subnormals become zero, as they do in the dot product.
inline void StoreBF16Fast(uint16_t* p, Vec a) {
  _mm256_storeu_si256(reinterpret_cast<__m256i*>(p),
                      reinterpret_cast<__m256i>(_mm512_cvtneps_pbh(a.v)));
}
#endif

struct IntVec {
  __m512i v;
};
struct ByteVec {
  __m512i v;
};

inline IntVec IntSet1(int32_t x) { return {_mm512_set1_epi32(x)}; }
inline Vec ToFloats(IntVec a) { return {_mm512_maskz_cvtepi32_ps(0xFFFF, a.v)}; }
inline __m512i ToInts(Vec a) { return _mm512_maskz_cvtps_epi32(0xFFFF, a.v); }
inline ByteVec LoadBytes(const void* p) { return {LoadPairs(p)}; }
inline ByteVec LowNibbles(ByteVec a) { return {_mm512_and_si512(a.v, _mm512_set1_epi8(0x0F))}; }
inline ByteVec HighNibbles(ByteVec a) { return LowNibbles({_mm512_srli_epi16(a.v, 4)}); }

template <int kByte>
Vec ByteLess128(ByteVec a) {
  __m512i bytes = _mm512_xor_si512(a.v, _mm512_set1_epi8(static_cast<char>(0x80)));
  if (kByte < 3) bytes = _mm512_maskz_slli_epi32(0xFFFF, bytes, 24 - 8 * kByte);
  return ToFloats(IntVec{_mm512_maskz_srai_epi32(0xFFFF, bytes, 24)});
}
inline __m512i Pairs(Vec first, Vec second) {
  const __m512i low = _mm512_maskz_srli_epi32(0xFFFF, _mm512_castps_si512(first.v), 16);
  return _mm512_mask_blend_epi16(0xAAAAAAAA, low, _mm512_castps_si512(second.v));
}
inline void StorePairs(void* p, Vec first, Vec second) {
  _mm512_store_si512(p, Pairs(first, second));
}

#ifdef __AVX512VNNI__
inline constexpr int kQuantizedBytes = 1;
struct QuadVec {
  __m512i v;
};
inline QuadVec LoadQuad(const void* p) {
  int32_t quad;
  __builtin_memcpy(&quad, p, sizeof(quad));
  return {_mm512_set1_epi32(quad)};
}
// In assembly because g++ 12 spills accumulators around the intrinsic.
inline IntVec DotBytes(IntVec acc, ByteVec weights, QuadVec x) {
  asm("vpdpbusd %2, %1, %0" : "+v"(acc.v) : "v"(weights.v), "v"(x.v));
  return acc;
}
inline void StoreQuantized(void* p, Vec rounded) {
  _mm_storeu_si128(static_cast<__m128i*>(p), _mm512_maskz_cvtepi32_epi8(0xFFFF, ToInts(rounded)));
}
#else
// Without the instruction: bytes 0 and 2, and bytes 1 and 3, of each four as pairs of 16 bits.
inline constexpr int kQuantizedBytes = 2;
struct QuadVec {
  __m512i even, odd;
};
inline QuadVec LoadQuad(const void* p) {
  int32_t pairs[2];
  __builtin_memcpy(pairs, p, sizeof(pairs));
  return {_mm512_set1_epi32(pairs[0]), _mm512_set1_epi32(pairs[1])};
}
inline IntVec DotBytes(IntVec acc, ByteVec weights, QuadVec x) {
  const __m512i even = _mm512_and_si512(weights.v, _mm512_set1_epi16(0x00FF));
  const __m512i odd = _mm512_srli_epi16(weights.v, 8);
  const __m512i sum =
      _mm512_add_epi32(_mm512_madd_epi16(even, x.even), _mm512_madd_epi16(odd, x.odd));
  return {_mm512_add_epi32(acc.v, sum)};
}
// Sixteen numbers as 0 2 1 3, 4 6 5 7, ... of 16 bits.
inline void StoreQuantized(void* p, Vec rounded) {
  const __m256i order = _mm256_setr_epi8(0, 1, 4, 5, 2, 3, 6, 7, 8, 9, 12, 13, 10, 11, 14, 15,  //
                                         0, 1, 4, 5, 2, 3, 6, 7, 8, 9, 12, 13, 10, 11, 14, 15);
  const __m256i shorts = _mm512_maskz_cvtepi32_epi16(0xFFFF, ToInts(rounded));
  _mm256_storeu_si256(static_cast<__m256i*>(p), _mm256_shuffle_epi8(shorts, order));
}
#endif

inline __mmask16 MaskBelow(int64_t n) { return static_cast<__mmask16>((1u << n) - 1u); }
inline Vec LoadPartial(const float* p, int64_t n) {
  return {_mm512_maskz_loadu_ps(MaskBelow(n), p)};
}
inline void StorePartial(float* p, Vec a, int64_t n) {
  _mm512_mask_storeu_ps(p, MaskBelow(n), a.v);
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
inline void PrefetchForWrite(const void* p) { __builtin_prefetch(p, 1, 3); }

}  // namespace dray::kernels::DRAY_ISA
