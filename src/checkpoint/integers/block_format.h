// The number formats of GGUF files whose rows are divided into blocks: small integers that share
// scales. A block is unpacked to integers with a scale (and a minimum) for each 16 or 32
// neighbours. The same description serves packing without loss and decoding to floats.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string_view>

#include "tensor/dtype.h"

namespace dray::checkpoint {

inline constexpr int64_t kMaxBlockElements = 256;
inline constexpr int64_t kMinBlockGroup = 16;

// One block, unpacked: element i stands for
//   scales[i / group] * (values[i] - zero)            where the format has no minimums,
//   scales[i / group] * values[i] - minimums[i / group]  where it has.
struct BlockNumbers {
  uint8_t values[kMaxBlockElements];
  float scales[kMaxBlockElements / kMinBlockGroup];
  float minimums[kMaxBlockElements / kMinBlockGroup];
};

enum class BlockOffset : uint8_t { kZero, kMinimums };

// A format of blocks. A row of a tensor is a whole number of them.
struct BlockFormat {
  std::string_view name;  // "Q4_K", as the files' makers write it
  int64_t elements = 0;   // of a block
  int64_t bytes = 0;      // of a block
  int64_t group = 0;      // neighbouring elements with one scale: 16 or 32
  int bits = 0;           // values are below 2^bits
  BlockOffset offset = BlockOffset::kZero;
  int zero = 0;  // kZero: the value that stands for 0
  // Reads the block at `from`, which need not be aligned.
  void (*unpack)(const std::byte* from, BlockNumbers& to) = nullptr;
};

// What a GGUF file's number for a tensor's type means.
struct GgmlType {
  uint32_t id = 0;
  std::string_view name;                // "F16", "Q4_K", "IQ4_XS"
  std::optional<DType> dtype;           // numbers that stand alone
  const BlockFormat* blocks = nullptr;  // numbers in blocks; neither: dray does not read the type
};

// Null if the number has no meaning that dray knows of, or has lost the one it had.
const GgmlType* FindGgmlType(uint32_t id);

// Elements [0, count) of the row whose blocks begin at `row` as floats, computed in f32 with each
// product and sum rounded on its own, as the format's reference does it. `count` is a multiple of
// the block's elements.
void DecodeBlocks(const BlockFormat& format, const std::byte* row, int64_t count, float* out);

}  // namespace dray::checkpoint
