// Vectors of sixteen floats, whatever the size of a register: only they differ between the
// instruction sets. Every .cc file of this folder is compiled once for each set, with its flags and
// with DRAY_ISA defined as the name of its namespace.
//
// Rules for these files: everything lives in namespace dray::kernels::DRAY_ISA, and nothing of the
// standard library is called. An inline function of a shared header that one of these files
// instantiates could be the copy that the linker keeps for the whole program, with instructions
// that the processor may lack.
//
// Arithmetic is the same in all sets (also the tree of Sum), but Fma rounds once only where
// the hardware has it. Contraction by the compiler is off, so a formula rounds alike wherever
// it is inlined.
//
//   IfLess(a, b, x, y)   per lane: a < b ? x : y
//   Max, Min             the second operand if either is NaN
//   Pow2FromBits(t)      2^n per lane where t = n + 1.5 * 2^23 (so that n is in the low bits)
//   LoadPartial(p, n)    lanes from n on are zero and not read, 0 < n <= 16
//   DotBytes(acc, w, x)  acc + the sum of four unsigned bytes of each lane of w times four signed
//                        activations, which LoadQuad spreads and StoreQuantized has written with
//                        kQuantizedBytes each, in an order that suits the set
//   ByteLess128<i>(w)    per lane: byte i of w, unsigned, less 128
//   StorePairs(p, a, b)  sixteen pairs of bf16, for numbers that are bf16 already
#pragma once

#include <cstring>

// The set's product of bytes adds them in pairs that saturate.
#if defined(__AVX2__) && !defined(__AVX512F__) && !defined(__AVXVNNI__)
#define DRAY_SATURATING_BYTES
#endif

#if defined(__AVX512F__)
#include "kernels/cpu/isa/vec_avx512_inl.h"
#elif defined(__AVX2__)
#include "kernels/cpu/isa/vec_avx2_inl.h"
#else
#include "kernels/cpu/isa/vec_portable_inl.h"
#endif

namespace dray::kernels::DRAY_ISA {

inline constexpr int kLanes = 16;

// A trait for each format of weights and of the paged cache, so that loops are written once.
// kLargest is the largest number of the format.
struct F32 {
  using Type = float;
  static constexpr float kLargest = 0x1.fffffep127f;
  static Vec LoadVec(const float* p) { return Load(p); }
  static void StoreVec(float* p, Vec a) { Store(p, a); }
};
struct F16 {
  using Type = uint16_t;
  static constexpr float kLargest = 65504.0f;
  static Vec LoadVec(const uint16_t* p) { return LoadF16(p); }
  static void StoreVec(uint16_t* p, Vec a) { StoreF16(p, a); }
};
struct BF16 {
  using Type = uint16_t;
  static constexpr float kLargest = 0x1.fep127f;
  static Vec LoadVec(const uint16_t* p) { return LoadBF16(p); }
  static void StoreVec(uint16_t* p, Vec a) { StoreBF16(p, a); }
};
// Only for the cache, with scales. StoreVec takes whole numbers in [-128, 127].
struct I8 {
  using Type = int8_t;
  static constexpr float kLargest = 127.0f;
  static Vec LoadVec(const int8_t* p) { return LoadI8(p); }
  static void StoreVec(int8_t* p, Vec a) { StoreI8(p, a); }
};

// Loads the first n elements, 0 < n <= 16; the others are zero and are not read. No load of this
// folder needs alignment, not even that of an element.
template <typename Format>
Vec LoadFirst(const typename Format::Type* p, int64_t n) {
  if (n >= kLanes) return Format::LoadVec(p);
  typename Format::Type lanes[kLanes] = {};
  for (int64_t i = 0; i < n; ++i) std::memcpy(&lanes[i], p + i, sizeof(lanes[i]));
  return Format::LoadVec(lanes);
}

inline Vec LoadUpTo(const float* p, int64_t n) { return n >= kLanes ? Load(p) : LoadPartial(p, n); }
inline void StoreUpTo(float* p, Vec a, int64_t n) {
  if (n >= kLanes) {
    Store(p, a);
  } else {
    StorePartial(p, a, n);
  }
}

}  // namespace dray::kernels::DRAY_ISA
