// The order in memory of one layer's part of the paged cache. Only the files of this folder use it.
//
// Sixteen tokens of one key head are a group, which is one piece of memory. There are [num_blocks,
// num_kv_heads, block_size / 16] groups. Loops read one line of a group at a time: sixteen lanes of
// kPack elements, as Linear reads weights (a pair of bf16, four bytes). The elements of a group:
//
//   keys    [head_dim / kPack][16 tokens][kPack dimensions], then [16 tokens] for each dimension
//           that does not fill kPack
//   values  [16 / kPack][head_dim][kPack tokens]
//
// 8-bit integers are stored with kByteZero added, because DotBytes reads them as unsigned. Values
// are always finite: so a weight of zero hides the values of tokens that a query does not see.
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

// The bytes of a line.
template <typename Format>
inline constexpr int kCacheLine =
    kLanes* kPack<Format>* static_cast<int>(sizeof(typename Format::Type));

// The index of the first element of a token's group. Divided by head_dim, it is the index of the
// group's first scale.
inline int64_t GroupStart(const KvLayer& cache, int64_t block, int64_t head, int64_t offset) {
  const int64_t row = block * cache.block_step * cache.num_kv_heads + head;
  const int64_t token = row * cache.block_size + offset;
  return token / kLanes * kLanes * cache.head_dim;
}

}  // namespace dray::kernels::DRAY_ISA
