// Sixteen rows at a time: each tile of 64 columns is read as floats, rounded to integers row by row
// and stored as words of four (int8) or eight (int4) columns. int8 reads its rows twice, first for
// their largest magnitude.
#include "kernels/cpu/pack_integers.h"

#include <algorithm>
#include <cmath>
#include <cstring>

#include "kernels/cpu/transpose.h"

namespace dray::kernels {
namespace {

constexpr int64_t kTileRows = 16;
constexpr int64_t kTileCols = 64;
static_assert(kTileCols == kInt4Group);

}  // namespace

struct IntegerPacker::Tile {
  alignas(64) float values[kTileRows][kTileCols];
  // Quantised, one row behind the other: 64 bytes of int8, or 32 of int4.
  alignas(64) uint8_t bytes[kTileRows][kTileCols];
};

IntegerPacker::IntegerPacker(const IsaKernels& isa, const WeightMatrix& matrix, int64_t first_row,
                             const SourceRows& source)
    : isa_(isa),
      layout_(matrix.format(), matrix.rows(), matrix.cols()),
      panels_(matrix.data()),
      first_row_(first_row),
      source_(source),
      source_bytes_(static_cast<int64_t>(SizeOf(source.dtype))) {}

Range IntegerPacker::Panels() const {
  return {first_row_ / kPanelRows, (first_row_ + source_.rows + kPanelRows - 1) / kPanelRows};
}

Range IntegerPacker::GroupRows(int64_t group) const {
  return {std::max(group * kTileRows, first_row_),
          std::min((group + 1) * kTileRows, first_row_ + source_.rows)};
}

void IntegerPacker::Pack(Range panels) const {
  const Range groups{2 * panels.begin, 2 * panels.end};
  if (layout_.format == WeightFormat::kI8) {
    for (int64_t g = groups.begin; g < groups.end; ++g) {
      if (GroupRows(g).begin < GroupRows(g).end) PackInt8Group(GroupRows(g));
    }
    return;
  }
  for (int64_t col = 0; col < source_.cols; col += kTileCols) {
    for (int64_t g = groups.begin; g < groups.end; ++g) {
      if (GroupRows(g).begin < GroupRows(g).end) PackInt4Tile(GroupRows(g), col);
    }
  }
}

void IntegerPacker::Read(Range rows, int64_t col, Tile& tile) const {
  const int64_t cols = std::min(kTileCols, source_.cols - col);
  const auto element = [&](int64_t r, int64_t c) {
    return static_cast<const std::byte*>(source_.data) +
           ((rows.begin + r - first_row_) * source_.row_stride + (col + c) * source_.col_stride) *
               source_bytes_;
  };
  const int64_t num_rows = rows.end - rows.begin;
  if (cols < kTileCols) std::memset(tile.values, 0, sizeof(tile.values));
  if (source_.col_stride == 1 || source_.row_stride != 1) {
    const int64_t run = source_.col_stride == 1 ? cols : 1;
    for (int64_t r = 0; r < num_rows; ++r) {
      for (int64_t c = 0; c < cols; c += run) {
        isa_.convert(source_.dtype, element(r, c), DType::kF32, tile.values[r] + c, run);
      }
    }
    return;
  }
  for (int64_t c = 0; c < cols; ++c) {
    float column[kTileRows];
    isa_.convert(source_.dtype, element(0, c), DType::kF32, column, num_rows);
    for (int64_t r = 0; r < num_rows; ++r) tile.values[r][c] = column[r];
  }
}

void IntegerPacker::PackInt8Group(Range rows) const {
  Tile tile;
  float scales[kTileRows] = {};
  const int64_t num_rows = rows.end - rows.begin;
  for (int64_t col = 0; col < source_.cols; col += kTileCols) {
    Read(rows, col, tile);
    for (int64_t r = 0; r < num_rows; ++r) {
      scales[r] = std::max(scales[r], std::abs(isa_.peak(tile.values[r], kTileCols)) / 127.0f);
    }
  }
  for (int64_t r = 0; r < num_rows; ++r) {
    std::memcpy(panels_ + layout_.ScaleOffset(rows.begin + r, 0), &scales[r], sizeof(float));
  }
  for (int64_t col = 0; col < source_.cols; col += kTileCols) {
    Read(rows, col, tile);
    for (int64_t r = 0; r < num_rows; ++r) {
      const float inverse = scales[r] > 0.0f ? 1.0f / scales[r] : 0.0f;
      isa_.quantize({tile.values[r], kTileCols, inverse, 128, 255, tile.bytes[r]});
    }
    StoreWords(rows, col, tile, kTileCols / 4);
  }
}

// The number of largest magnitude becomes -8, so that all sixteen steps are used.
void IntegerPacker::PackInt4Tile(Range rows, int64_t col) const {
  Tile tile;
  Read(rows, col, tile);
  for (int64_t r = 0; r < rows.end - rows.begin; ++r) {
    const uint16_t scale = F32ToF16(isa_.peak(tile.values[r], kTileCols) / -8.0f);
    std::memcpy(panels_ + layout_.ScaleOffset(rows.begin + r, col), &scale, sizeof(scale));
    // Rounded with the scale as it is stored; one that is too small for f16 makes the group zero.
    const float stored = F16ToF32(scale);
    const float inverse = stored != 0.0f ? 1.0f / stored : 0.0f;
    uint8_t numbers[kTileCols];
    isa_.quantize({tile.values[r], kTileCols, inverse, 8, 15, numbers});
    for (int64_t c = 0; c < kTileCols; c += 8) {
      for (int64_t i = 0; i < 4; ++i) {
        tile.bytes[r][c / 2 + i] = static_cast<uint8_t>(numbers[c + i] | numbers[c + 4 + i] << 4);
      }
    }
  }
  StoreWords(rows, col, tile, kTileCols / 8);
}

// The first `words_per_row` words of each row, the first at column `col`, into the panel.
void IntegerPacker::StoreWords(Range rows, int64_t col, const Tile& tile,
                               int64_t words_per_row) const {
  std::byte* vectors = panels_ + layout_.VectorOffset(rows.begin, col);
  const auto* bytes = reinterpret_cast<const std::byte*>(tile.bytes);
  if (rows.end - rows.begin == kTileRows) {
    for (int64_t w = 0; w < words_per_row; w += 4) {
      for (int64_t r = 0; r < kTileRows; r += 4) {
        Words channels[4];
        Transpose4(bytes + r * kTileCols + w * 4, kTileCols, channels);
        for (int64_t i = 0; i < 4; ++i) {
          std::memcpy(vectors + (w + i) * kStepBytes + r * 4, &channels[i], sizeof(Words));
        }
      }
    }
    return;
  }
  for (int64_t w = 0; w < words_per_row; ++w) {
    for (int64_t r = 0; r < rows.end - rows.begin; ++r) {
      std::memcpy(vectors + w * kStepBytes + (rows.begin + r) % kTileRows * 4,
                  tile.bytes[r] + w * 4, 4);
    }
  }
}

}  // namespace dray::kernels
