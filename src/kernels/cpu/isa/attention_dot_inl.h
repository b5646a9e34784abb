// Products of the cache's lines with the numbers of queries, for each format of the cache. The same
// code serves keys, where a lane is a token and a step is a dimension, and values, where a lane is
// a dimension and a step is a token.
//
// A line is used in kParts parts, one after the other, so that no more than one part is in registers.
//
// A unit is sixteen numbers of a query: sixteen of its dimensions, or its weights of sixteen
// tokens. It is multiplied with 16 / kPack steps.
//
//   f32, f16  the numbers are used as they are
//   bf16      the numbers are rounded to bf16; sums are in f32
//   i8        the numbers become integers of 16 bits in two parts, kHighPart * high + low, both in
//             [-127, 127]; sums are exact
#pragma once

#include <cstdint>

#include "kernels/cpu/isa/cache_layout.h"
#include "kernels/cpu/isa/vec.h"

namespace dray::kernels::DRAY_ISA {
namespace {

#define DRAY_INLINE __attribute__((always_inline)) inline

template <typename Format>
struct PlainDot {
  using Line = Vec;
  using Word = Vec;
  using Acc = Vec;
  struct Row {};
  static constexpr int kParts = 1;
  static constexpr int kAccVectors = 1;
  static constexpr int kUnitBytes = 64;
  static DRAY_INLINE Acc Start(const Row&) { return Zero(); }
  static DRAY_INLINE Vec Result(const Acc& acc, const Row&) { return acc; }
  template <int kPart>
  static DRAY_INLINE Line LoadLine(const std::byte* p) {
    return Format::LoadVec(reinterpret_cast<const typename Format::Type*>(p));
  }
  template <int kPart>
  static DRAY_INLINE Word LoadWord(const std::byte* unit, int step) {
    return Set1(reinterpret_cast<const float*>(unit)[step]);
  }
  static DRAY_INLINE void Add(Acc& acc, const Line& line, const Word& word) {
    acc = Fma(line, word, acc);
  }
  // Returns what is stored.
  static DRAY_INLINE Vec StoreUnit(std::byte* unit, Vec v) {
    Store(reinterpret_cast<float*>(unit), v);
    return v;
  }
};

template <typename Format>
struct Dot;
template <>
struct Dot<F32> : PlainDot<F32> {};
template <>
struct Dot<F16> : PlainDot<F16> {};

#ifdef __AVX512BF16__
template <>
struct Dot<BF16> : PlainDot<BF16> {
  using Line = __m512i;
  using Word = int32_t;
  static constexpr int kUnitBytes = 32;
  template <int kPart>
  static DRAY_INLINE Line LoadLine(const std::byte* p) {
    return LoadPairs(p);
  }
  template <int kPart>
  static DRAY_INLINE Word LoadWord(const std::byte* unit, int step) {
    int32_t pair;
    __builtin_memcpy(&pair, unit + step * static_cast<int>(sizeof(pair)), sizeof(pair));
    return pair;
  }
  static DRAY_INLINE void Add(Acc& acc, const Line& line, const Word& word) {
    acc = DotBF16(acc, line, word);
  }
  static DRAY_INLINE Vec StoreUnit(std::byte* unit, Vec v) {
    auto* halves = reinterpret_cast<uint16_t*>(unit);
    StoreBF16Fast(halves, v);
    return LoadBF16(halves);
  }
};
#else
template <>
struct Dot<BF16> : PlainDot<BF16> {
  static constexpr int kParts = 2;  // the first and the second number of each pair
  template <int kPart>
  static DRAY_INLINE Line LoadLine(const std::byte* p) {
    return kPart == 0 ? LoadBF16First(p) : LoadBF16Second(p);
  }
  template <int kPart>
  static DRAY_INLINE Word LoadWord(const std::byte* unit, int step) {
    return Set1(reinterpret_cast<const float*>(unit)[2 * step + kPart]);
  }
  // Rounded to bf16 but kept as f32, the type that this instruction set multiplies.
  static DRAY_INLINE Vec StoreUnit(std::byte* unit, Vec v) {
    uint16_t halves[kLanes];
    StoreBF16(halves, v);
    return PlainDot::StoreUnit(unit, LoadBF16(halves));
  }
};
#endif

template <>
struct Dot<I8> {
  using Line = ByteVec;
  struct Word {
    QuadVec high, low;
  };
  struct Acc {
    IntVec high, low;
  };
  struct Row {
    float scale = 0;
    int32_t high_sum = 0, low_sum = 0;  // of all units
  };
  static constexpr int kParts = 1;
  static constexpr int kAccVectors = 2;
  static constexpr int kPartBytes = kLanes * kQuantizedBytes;
  static constexpr int kUnitBytes = 2 * kPartBytes;
  static constexpr float kHighPart = 254.0f;
  static constexpr float kLargest = 127 * kHighPart;

  static DRAY_INLINE Acc Start(const Row& row) {
    return {IntSet1(-kByteZero * row.high_sum), IntSet1(-kByteZero * row.low_sum)};
  }
  static DRAY_INLINE Vec Result(const Acc& acc, const Row& row) {
    return Fma(ToFloats(acc.high), Set1(kHighPart), ToFloats(acc.low)) * Set1(row.scale);
  }
  template <int kPart>
  static DRAY_INLINE Line LoadLine(const std::byte* p) {
    return LoadBytes(p);
  }
  template <int kPart>
  static DRAY_INLINE Word LoadWord(const std::byte* unit, int step) {
    const std::byte* quad = unit + 4 * kQuantizedBytes * step;
    return {LoadQuad(quad), LoadQuad(quad + kPartBytes)};
  }
  static DRAY_INLINE void Add(Acc& acc, const Line& line, const Word& word) {
    acc.high = DotBytes(acc.high, line, word.high);
    acc.low = DotBytes(acc.low, line, word.low);
  }
  // Stores `count` numbers, sixteen at a time: load(i) returns those from i on, for unit(i).
  template <typename Load, typename Unit>
  static Row StoreUnits(float peak, int64_t count, const Load& load, const Unit& unit) {
    const Vec magic = Set1(12582912.0f);  // 1.5 * 2^23: adding it rounds to an integer
    const Vec inverse = Set1(peak > 0.0f ? kLargest / peak : 0.0f);
    Vec high_sum = Zero(), low_sum = Zero();
    for (int64_t i = 0; i < count; i += kLanes) {
      const Vec v = load(i) * inverse;
      const Vec high = Fma(v, Set1(1.0f / kHighPart), magic) - magic;
      const Vec low = (Fma(high, Set1(-kHighPart), v) + magic) - magic;
      StoreQuantized(unit(i), high);
      StoreQuantized(unit(i) + kPartBytes, low);
      high_sum = high_sum + high;
      low_sum = low_sum + low;
    }
    return {peak / kLargest, static_cast<int32_t>(Sum(high_sum)),
            static_cast<int32_t>(Sum(low_sum))};
  }
};

// Multiplies part `kPart` and the parts behind it of step `s` of kQueries queries, which are kRowBytes
// apart, with those of the lines.
template <typename D, int kPart, int kRowBytes, int kQueries, int kVecs>
DRAY_INLINE void AddParts(typename D::Acc (&acc)[kQueries][kVecs],
                          const std::byte* const (&lines)[kVecs], int64_t offset,
                          const std::byte* unit, int s) {
  typename D::Line line[kVecs];
#pragma GCC unroll 8
  for (int v = 0; v < kVecs; ++v) line[v] = D::template LoadLine<kPart>(lines[v] + offset);
#pragma GCC unroll 8
  for (int i = 0; i < kQueries; ++i) {
    const typename D::Word word = D::template LoadWord<kPart>(unit + i * kRowBytes, s);
#pragma GCC unroll 8
    for (int v = 0; v < kVecs; ++v) D::Add(acc[i][v], line[v], word);
  }
  if constexpr (kPart + 1 < D::kParts) {
    AddParts<D, kPart + 1, kRowBytes>(acc, lines, offset, unit, s);
  }
}

// Multiplies step `s` of kQueries queries with kVecs lines. Prefetches, for each line, what lies `fetch`
// bytes behind the line.
template <typename D, int kRowBytes, int kQueries, int kVecs, int kFetch>
DRAY_INLINE void AddStep(typename D::Acc (&acc)[kQueries][kVecs],
                         const std::byte* const (&lines)[kVecs], int64_t offset,
                         const int64_t (&fetch)[kFetch], const std::byte* unit, int s) {
#pragma GCC unroll 8
  for (int v = 0; v < kVecs; ++v) PrefetchNear(lines[v] + offset + fetch[v % kFetch]);
  AddParts<D, 0, kRowBytes>(acc, lines, offset, unit, s);
}

// Does so for `steps` steps, at most kUnitSteps, whose lines are `stride` bytes apart.
template <typename D, int kUnitSteps, int kRowBytes, int kQueries, int kVecs, int kFetch>
DRAY_INLINE void AddUnit(typename D::Acc (&acc)[kQueries][kVecs],
                         const std::byte* const (&lines)[kVecs], int64_t stride,
                         const int64_t (&fetch)[kFetch], const std::byte* unit, int steps) {
  if (steps == kUnitSteps) {
#pragma GCC unroll 16
    for (int s = 0; s < kUnitSteps; ++s) {
      AddStep<D, kRowBytes>(acc, lines, s * stride, fetch, unit, s);
    }
  } else {
    for (int s = 0; s < steps; ++s) {
      AddStep<D, kRowBytes>(acc, lines, s * stride, fetch, unit, s);
    }
  }
}

}  // namespace
}  // namespace dray::kernels::DRAY_ISA
