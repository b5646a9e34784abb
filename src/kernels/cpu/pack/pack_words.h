// The last step of packing integers: stores the numbers of a few rows as the words of a panel.
#pragma once

#include <cstddef>
#include <cstdint>

#include "kernels/cpu/isa_kernels.h"

namespace dray::kernels {

inline constexpr int64_t kWordRows = 16;

// Quantised numbers of up to 16 rows of one half of a panel, `stride` bytes apart: a byte each, or
// for int4 as PackNibbles leaves them. A word is what a step holds of a row.
struct RowWords {
  const std::byte* bytes = nullptr;
  int64_t stride = 0;
  int64_t words_per_row = 0;
};

// Into the panel: `rows` of the matrix, from column `col` on.
void StoreWords(const PanelLayout& layout, std::byte* panels, Range rows, int64_t col,
                const RowWords& words);

// What opens a group of one row, as f16. Without zero points the second is not stored.
struct GroupHeader {
  uint16_t scale = 0;
  uint16_t minus_zero = 0;
};
void StoreHeader(const PanelLayout& layout, std::byte* panels, int64_t row, int64_t col,
                 const GroupHeader& header);

// Each eight of `count` numbers below 16 into four bytes: the first four in the low
// halves. In place.
void PackNibbles(uint8_t* numbers, int64_t count);

}  // namespace dray::kernels
