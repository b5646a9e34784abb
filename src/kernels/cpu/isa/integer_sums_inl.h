// Sums of products of integer weights and quantised activations, which Linear's kernels of weights
// in groups share. Two types, NibbleSum and ByteSum, for 4-bit and 8-bit weights, hold the sums of
// 16 channels over at most kSumCols columns:
//
//   Weights, Prepare(ByteVec)  four columns of each channel as Add reads them
//   Start(packed)              begins a sum; `packed` is PackSum of its activations
//   Add(weights, x)            adds four columns
//   Total()                    the exact sum of (q - kZero) * x, where q is the unsigned number
//                              that is stored
//
// StoreInputs writes sixteen whole numbers as Linear's activations, kInputBytes each, and
// LoadInputs spreads four of them. InputSum(PackSum(v)) is the sum of v's lanes.
#pragma once

#include <cstdint>

#include "kernels/cpu/isa/vec.h"
#include "kernels/cpu/pack/panel_layout.h"

namespace dray::kernels::DRAY_ISA {
namespace {

#define DRAY_INLINE __attribute__((always_inline)) inline

constexpr int kNibbleZero = 8;
constexpr int kByteWeightZero = 128;

// The number of columns after which a sum of activations ends, at the latest. Kernels without
// registers for the float sums of a group compute units of 64 columns, the others whole groups.
constexpr int64_t kSumCols = kGroupSumsInRegisters ? kLargestGroup : 64;

}  // namespace
}  // namespace dray::kernels::DRAY_ISA

#if defined(DRAY_SATURATING_BYTES)
#include "kernels/cpu/isa/avx2_integers/integer_sums_avx2_inl.h"
#else

namespace dray::kernels::DRAY_ISA {
namespace {

constexpr int kInputBytes = kQuantizedBytes;
constexpr int64_t kMinRowsToSetApart = 0;  // never
using InputQuad = QuadVec;

DRAY_INLINE void StoreInputs(void* p, Vec whole) { StoreQuantized(p, whole); }
DRAY_INLINE InputQuad LoadInputs(const void* p) { return LoadQuad(p); }
DRAY_INLINE int32_t PackSum(Vec sum) { return static_cast<int32_t>(Sum(sum)); }
DRAY_INLINE int32_t InputSum(int32_t packed) { return packed; }

template <int kZeroPoint>
struct DotSum {
  static constexpr int kZero = kZeroPoint;
  using Weights = ByteVec;
  IntVec sum;

  static DRAY_INLINE Weights Prepare(ByteVec stored) { return stored; }
  DRAY_INLINE void Start(int32_t packed) { sum = IntSet1(-kZero * packed); }
  DRAY_INLINE void Add(const Weights& weights, InputQuad x) { sum = DotBytes(sum, weights, x); }
  DRAY_INLINE IntVec Total() const { return sum; }
};
using NibbleSum = DotSum<kNibbleZero>;
using ByteSum = DotSum<kByteWeightZero>;

}  // namespace
}  // namespace dray::kernels::DRAY_ISA
#endif

namespace dray::kernels::DRAY_ISA {
namespace {

// Four quantised activations, and how many such steps a line of them holds.
constexpr int kQuadBytes = 4 * kInputBytes;
constexpr int kQuadsPerLine = static_cast<int>(kLineBytes) / kQuadBytes;
// About how many cycles the products of a row with a step of 8-bit weights take: with one instruction
// for four of them, and without.
#if defined(__AVX512VNNI__) || defined(__AVXVNNI__)
constexpr int kByteRowCycles = 2;
#else
constexpr int kByteRowCycles = 6;
#endif

}  // namespace
}  // namespace dray::kernels::DRAY_ISA
