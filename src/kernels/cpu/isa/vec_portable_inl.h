// Sixteen floats in plain C++ (vector extensions of the compiler): the definition of what the other
// vec_*_inl.h files do in one or two registers.
//
// Included through vec.h only, which explains the rules.
#pragma once

#include <cstdint>
#include <cstring>

#include "tensor/dtype.h"

namespace dray::kernels::DRAY_ISA {

inline constexpr char kIsaName[] = "portable";
// The number of Vec accumulators and temporaries that fit into the registers beside the operands,
// and the rows of a block of Linear.
inline constexpr int kAccumulators = 3;
inline constexpr int kMaxLinearRows = 2;
inline constexpr int kMaxInt8Rows = 2;
inline constexpr int kMaxGroupedRows = 2;
// Whether the registers hold float sums beside the integer sums of a group of columns.
inline constexpr bool kGroupSumsInRegisters = true;
inline constexpr int kIntTemporaries = 2;
// vec_avx2_inl.h explains these.
inline constexpr int64_t kFloatPartCols = 0;
inline constexpr bool kFetchesEvenly = false;
// The number of unrolled steps of a loop over weights. One is long enough here, where each
// vector is four registers; sixteen would take minutes to compile.
inline constexpr int kUnrolledSteps = 1;
inline constexpr bool kHasBF16Dot = false;

struct Vec {
  typedef float Quad __attribute__((vector_size(16)));
  typedef int32_t IntQuad __attribute__((vector_size(16)));
  Quad q[4];
};

inline Vec Set1(float x) {
  const Vec::Quad q = {x, x, x, x};
  return {{q, q, q, q}};
}
inline Vec Zero() { return Set1(0.0f); }
inline Vec Iota() {
  constexpr float kLaneNumbers[16] = {0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15};
  Vec r;
  std::memcpy(&r, kLaneNumbers, sizeof(r));
  return r;
}

// Quarter by quarter: a copy of the whole would go through memory.
inline Vec Load(const float* p) {
  Vec r;
  for (int i = 0; i < 4; ++i) std::memcpy(&r.q[i], p + 4 * i, sizeof(r.q[i]));
  return r;
}
inline void Store(float* p, Vec a) {
  for (int i = 0; i < 4; ++i) std::memcpy(p + 4 * i, &a.q[i], sizeof(a.q[i]));
}

inline Vec operator+(Vec a, Vec b) {
  for (int i = 0; i < 4; ++i) a.q[i] += b.q[i];
  return a;
}
inline Vec operator-(Vec a, Vec b) {
  for (int i = 0; i < 4; ++i) a.q[i] -= b.q[i];
  return a;
}
inline Vec operator*(Vec a, Vec b) {
  for (int i = 0; i < 4; ++i) a.q[i] *= b.q[i];
  return a;
}
inline Vec operator/(Vec a, Vec b) {
  for (int i = 0; i < 4; ++i) a.q[i] /= b.q[i];
  return a;
}
inline Vec Fma(Vec a, Vec b, Vec c) { return a * b + c; }

inline Vec IfLess(Vec a, Vec b, Vec x, Vec y) {
  for (int i = 0; i < 4; ++i) x.q[i] = a.q[i] < b.q[i] ? x.q[i] : y.q[i];
  return x;
}
inline Vec Max(Vec a, Vec b) { return IfLess(b, a, a, b); }
inline Vec Min(Vec a, Vec b) { return IfLess(a, b, a, b); }

inline Vec Abs(Vec a) {
  for (int i = 0; i < 4; ++i)
    a.q[i] = reinterpret_cast<Vec::Quad>(reinterpret_cast<Vec::IntQuad>(a.q[i]) & 0x7FFFFFFF);
  return a;
}
inline Vec CopySign(Vec magnitude, Vec sign) {
  for (int i = 0; i < 4; ++i) {
    magnitude.q[i] = reinterpret_cast<Vec::Quad>(
        reinterpret_cast<Vec::IntQuad>(magnitude.q[i]) |
        (reinterpret_cast<Vec::IntQuad>(sign.q[i]) & static_cast<int32_t>(0x80000000u)));
  }
  return magnitude;
}
inline Vec Pow2FromBits(Vec a) {
  for (int i = 0; i < 4; ++i) {
    a.q[i] =
        reinterpret_cast<Vec::Quad>((reinterpret_cast<Vec::IntQuad>(a.q[i]) << 23) + 0x3F800000);
  }
  return a;
}

inline float Sum(Vec a) {
  const Vec::Quad s = (a.q[0] + a.q[2]) + (a.q[1] + a.q[3]);
  return (s[0] + s[2]) + (s[1] + s[3]);
}
inline float MaxOf(Vec a) {
  float lanes[16];
  Store(lanes, a);
  float max = lanes[0];
  for (float x : lanes) max = x > max ? x : max;
  return max;
}

// Four 16-bit numbers, zero-extended.
inline Vec::IntQuad LoadHalves(const uint16_t* p) {
  typedef uint16_t HalfQuad __attribute__((vector_size(8)));
  HalfQuad halves;
  std::memcpy(&halves, p, sizeof(halves));
  return __builtin_convertvector(halves, Vec::IntQuad);
}
inline Vec LoadBF16(const uint16_t* p) {
  Vec r;
  for (int i = 0; i < 4; ++i) r.q[i] = reinterpret_cast<Vec::Quad>(LoadHalves(p + 4 * i) << 16);
  return r;
}
// The exponent and fraction of an f16, put in the place of those of an f32, are the number times
// 2^-112, also if it is subnormal. Infinity and NaN need the largest exponent in addition.
inline Vec LoadF16(const uint16_t* p) {
  Vec r;
  for (int i = 0; i < 4; ++i) {
    const Vec::IntQuad bits = LoadHalves(p + 4 * i);
    const Vec::IntQuad magnitude = bits & 0x7FFF;
    const Vec::Quad scaled = reinterpret_cast<Vec::Quad>(magnitude << 13) * 0x1p112f;
    const Vec::IntQuad special = (magnitude >= 0x7C00) & 0x7F800000;
    r.q[i] = reinterpret_cast<Vec::Quad>(reinterpret_cast<Vec::IntQuad>(scaled) | special |
                                         ((bits & 0x8000) << 16));
  }
  return r;
}
inline void StoreBF16(uint16_t* p, Vec a) {
  float lanes[16];
  Store(lanes, a);
  for (int i = 0; i < 16; ++i) p[i] = F32ToBF16(lanes[i]);
}
inline void StoreF16(uint16_t* p, Vec a) {
  float lanes[16];
  Store(lanes, a);
  for (int i = 0; i < 16; ++i) p[i] = F32ToF16(lanes[i]);
}

inline Vec LoadI8(const int8_t* p) {
  typedef int8_t ByteQuad __attribute__((vector_size(4)));
  Vec r;
  for (int i = 0; i < 4; ++i) {
    ByteQuad bytes;
    std::memcpy(&bytes, p + 4 * i, sizeof(bytes));
    r.q[i] = __builtin_convertvector(bytes, Vec::Quad);
  }
  return r;
}
inline void StoreI8(int8_t* p, Vec whole) {
  float lanes[16];
  Store(lanes, whole);
  for (int i = 0; i < 16; ++i) p[i] = static_cast<int8_t>(lanes[i]);
}

// Sixteen pairs of bf16: the first, and the second, of each pair.
inline Vec LoadBF16First(const void* p) {
  Vec r = Load(static_cast<const float*>(p));
  for (auto& q : r.q) q = reinterpret_cast<Vec::Quad>(reinterpret_cast<Vec::IntQuad>(q) << 16);
  return r;
}
inline Vec LoadBF16Second(const void* p) {
  Vec r = Load(static_cast<const float*>(p));
  for (auto& q : r.q) {
    q = reinterpret_cast<Vec::Quad>(reinterpret_cast<Vec::IntQuad>(q) &
                                    static_cast<int32_t>(0xFFFF0000u));
  }
  return r;
}

struct IntVec {
  Vec::IntQuad q[4];
};
struct ByteVec {
  Vec::IntQuad q[4];  // four bytes in each lane, the first lowest
};

inline IntVec IntSet1(int32_t x) {
  const Vec::IntQuad q = {x, x, x, x};
  return {{q, q, q, q}};
}
inline Vec ToFloats(IntVec a) {
  Vec r;
  for (int i = 0; i < 4; ++i) r.q[i] = __builtin_convertvector(a.q[i], Vec::Quad);
  return r;
}
inline ByteVec LoadBytes(const void* p) {
  ByteVec r;
  for (int i = 0; i < 4; ++i) {
    std::memcpy(&r.q[i], static_cast<const char*>(p) + 16 * i, sizeof(r.q[i]));
  }
  return r;
}
inline ByteVec LowNibbles(ByteVec a) {
  for (auto& q : a.q) q &= 0x0F0F0F0F;
  return a;
}
inline ByteVec HighNibbles(ByteVec a) {
  for (auto& q : a.q) q = (q >> 4) & 0x0F0F0F0F;
  return a;
}

template <int kByte>
Vec ByteLess128(ByteVec a) {
  Vec r;
  for (int i = 0; i < 4; ++i) {
    r.q[i] = __builtin_convertvector(((a.q[i] >> (8 * kByte)) & 0xFF) - 128, Vec::Quad);
  }
  return r;
}
inline void StorePairs(void* p, Vec first, Vec second) {
  for (int i = 0; i < 4; ++i) {
    const auto low = reinterpret_cast<Vec::IntQuad>(first.q[i]) >> 16;
    const auto high = reinterpret_cast<Vec::IntQuad>(second.q[i]);
    const Vec::IntQuad pairs = (low & 0xFFFF) | (high & static_cast<int32_t>(0xFFFF0000u));
    std::memcpy(static_cast<char*>(p) + 16 * i, &pairs, sizeof(pairs));
  }
}

inline constexpr int kQuantizedBytes = 1;
struct QuadVec {
  int8_t x[4];
};
inline QuadVec LoadQuad(const void* p) {
  QuadVec r;
  std::memcpy(&r, p, sizeof(r));
  return r;
}
// acc + the four products of each lane's bytes (unsigned) and activations (signed).
inline IntVec DotBytes(IntVec acc, ByteVec weights, QuadVec x) {
  for (int i = 0; i < 4; ++i) {
    for (int j = 0; j < 4; ++j) acc.q[i] += ((weights.q[i] >> (8 * j)) & 0xFF) * x.x[j];
  }
  return acc;
}
inline void StoreQuantized(void* p, Vec rounded) {
  float lanes[16];
  Store(lanes, rounded);
  auto* out = static_cast<int8_t*>(p);
  for (int i = 0; i < 16; ++i) out[i] = static_cast<int8_t>(lanes[i]);
}

inline Vec LoadPartial(const float* p, int64_t n) {
  float lanes[16] = {};
  std::memcpy(lanes, p, static_cast<size_t>(n) * sizeof(float));
  return Load(lanes);
}
inline void StorePartial(float* p, Vec a, int64_t n) {
  std::memcpy(p, &a, static_cast<size_t>(n) * sizeof(float));
}

inline void PrefetchNear(const void* p) { __builtin_prefetch(p, 0, 3); }
inline void PrefetchFar(const void* p) { __builtin_prefetch(p, 0, 2); }
inline void PrefetchForWrite(const void* p) { __builtin_prefetch(p, 1, 3); }

}  // namespace dray::kernels::DRAY_ISA
