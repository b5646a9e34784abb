#include "kernels/cpu/pack/pack_words.h"

#include <cstring>

#include "kernels/cpu/pack/transpose.h"

namespace dray::kernels {

void StoreWords(const PanelLayout& layout, std::byte* panels, Range rows, int64_t col,
                const RowWords& words) {
  std::byte* vectors = panels + layout.VectorOffset(rows.begin, col);
  if (rows.end - rows.begin == kWordRows) {
    for (int64_t w = 0; w < words.words_per_row; w += 4) {
      for (int64_t r = 0; r < kWordRows; r += 4) {
        Words channels[4];
        Transpose4(words.bytes + r * words.stride + w * 4, words.stride, channels);
        for (int64_t i = 0; i < 4; ++i) {
          std::memcpy(vectors + (w + i) * kStepBytes + r * 4, &channels[i], sizeof(Words));
        }
      }
    }
    return;
  }
  for (int64_t w = 0; w < words.words_per_row; ++w) {
    for (int64_t r = 0; r < rows.end - rows.begin; ++r) {
      std::memcpy(vectors + w * kStepBytes + (rows.begin + r) % kWordRows * 4,
                  words.bytes + r * words.stride + w * 4, 4);
    }
  }
}

void StoreHeader(const PanelLayout& layout, std::byte* panels, int64_t row, int64_t col,
                 const GroupHeader& header) {
  std::memcpy(panels + layout.ScaleOffset(row, col), &header.scale, sizeof(header.scale));
  if (!layout.has_zeros()) return;
  std::memcpy(panels + layout.ZeroOffset(row, col), &header.minus_zero, sizeof(header.minus_zero));
}

void PackNibbles(uint8_t* numbers, int64_t count) {
  for (int64_t c = 0; c < count; c += 8) {
    uint32_t low, high;
    std::memcpy(&low, numbers + c, sizeof(low));
    std::memcpy(&high, numbers + c + 4, sizeof(high));
    low |= high << 4;
    std::memcpy(numbers + c / 2, &low, sizeof(low));
  }
}

}  // namespace dray::kernels
