// How a layer's part of the paged cache lies in memory; only the files of this folder know.
//
// Sixteen tokens of one key head are a group, one piece of memory: [num_blocks, num_kv_heads,
// block_size / 16] of them. Loops take a line of it at once: sixteen lanes of kPack elements, in
// the form in which Linear takes weights (a pair of bf16, four bytes). Within a group:
//
//   keys    [head_dim / kPack][16 tokens][kPack dimensions], then what dimensions are left, [16]
//   each values  [16 / kPack][head_dim][kPack tokens]
//
// 8-bit integers have kByteZero added: DotBytes takes them unsigned. Values are always finite, so
// that a weight of zero hides those of a token that a query does not see.
#pragma once

#include <cstdint>

#include "kernels/cpu/isa/vec.h"
#include "kernels/ops.h"

namespace dray::kernels::DRAY_ISA {

template <typename Format>
inline constexpr int kPack = 1;
template <>
inline constexpr int kPack<BF16> = 2;
template <>
inline constexpr int kPack<I8> = 4;

inline constexpr int kByteZero = 128;

// Bytes of a line.
template <typename Format>
inline constexpr int kCacheLine =
    kLanes* kPack<Format>* static_cast<int>(sizeof(typename Format::Type));

// The first element of the group of a token; for its scales, over head_dim.
inline int64_t GroupStart(const KvLayer& cache, int64_t block, int64_t head, int64_t offset) {
  const int64_t token = (block * cache.num_kv_heads + head) * cache.block_size + offset;
  return token / kLanes * kLanes * cache.head_dim;
}

}  // namespace dray::kernels::DRAY_ISA
