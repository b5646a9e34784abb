// Packs sixteen rows at a time. A tile of some columns is read as floats, rounded to integers row
// by row, and stored as words of four (8-bit) or eight (4-bit) columns. If a scale belongs to a
// whole row, the rows are read twice: the first time for their largest magnitude.
#include "kernels/cpu/pack/pack_integers.h"

#include <algorithm>
#include <cmath>
#include <cstring>
#include <limits>
#include <span>

#include "kernels/cpu/pack/pack_words.h"
#include "kernels/cpu/pack/round_group.h"

namespace dray::kernels {
namespace {

// The columns of a tile if a scale belongs to a whole row. K is padded to a multiple of them.
constexpr int64_t kTileCols = 64;

// The least scale of a row whose reciprocal is finite. The weights of rows with smaller scales become
// zero.
constexpr float kLeastScale = std::numeric_limits<float>::min();

// Returns the first number that is NaN or infinite. There must be one.
float NotFinite(std::span<const float> x) {
  return *std::find_if(x.begin(), x.end(), [](float v) { return !std::isfinite(v); });
}

}  // namespace

struct IntegerPacker::Tile {
  alignas(64) float values[kWordRows][kLargestGroup];
  // The integers of the tile, row after row.
  alignas(64) uint8_t numbers[kWordRows][kLargestGroup];

  RowWords Words(int64_t words_per_row) const {
    return {reinterpret_cast<const std::byte*>(numbers), kLargestGroup, words_per_row};
  }
};

IntegerPacker::IntegerPacker(const IsaKernels& isa, const WeightMatrix& matrix, int64_t first_row,
                             const SourceRows& source)
    : isa_(isa),
      layout_(matrix.spec()),
      panels_(matrix.data()),
      first_row_(first_row),
      reader_(isa, source) {}

Range IntegerPacker::GroupRows(int64_t group) const {
  return {std::max(group * kWordRows, first_row_),
          std::min((group + 1) * kWordRows, first_row_ + reader_.source().rows)};
}

void IntegerPacker::Pack(Range panels, UnfitWeights& unfit) const {
  const Range row_groups{2 * panels.begin, 2 * panels.end};
  if (layout_.group == 0) {
    for (int64_t g = row_groups.begin; g < row_groups.end; ++g) {
      if (GroupRows(g).begin < GroupRows(g).end) PackWholeRows(GroupRows(g), unfit);
    }
    return;
  }
  for (int64_t col = 0; col < reader_.source().cols; col += layout_.group) {
    for (int64_t g = row_groups.begin; g < row_groups.end; ++g) {
      if (GroupRows(g).begin < GroupRows(g).end) PackColumnGroup(GroupRows(g), col, unfit);
    }
  }
}

void IntegerPacker::Read(Range rows, Range cols, Tile& tile) const {
  reader_.Read({rows.begin - first_row_, rows.end - first_row_}, cols, tile.values[0],
               kLargestGroup);
}

bool IntegerPacker::StoreRowScales(Range rows, UnfitWeights& unfit, float* scales) const {
  Tile tile;
  bool all_fit = true;
  const int64_t num_rows = rows.end - rows.begin;
  for (int64_t col = 0; col < reader_.source().cols; col += kTileCols) {
    Read(rows, {col, col + kTileCols}, tile);
    for (int64_t r = 0; r < num_rows; ++r) {
      const float peak = std::abs(isa_.peak(tile.values[r], kTileCols));
      if (std::isnan(peak)) {
        unfit.Note(rows.begin + r, "weight", NotFinite({tile.values[r], kTileCols}));
        all_fit = false;
      }
      scales[r] = std::max(scales[r], peak / 127.0f);
    }
  }
  for (int64_t r = 0; r < num_rows; ++r) {
    std::memcpy(panels_ + layout_.ScaleOffset(rows.begin + r, 0), &scales[r], sizeof(float));
  }
  return all_fit;
}

void IntegerPacker::PackWholeRows(Range rows, UnfitWeights& unfit) const {
  float scales[kWordRows] = {};
  if (!StoreRowScales(rows, unfit, scales)) return;
  Tile tile;
  for (int64_t col = 0; col < reader_.source().cols; col += kTileCols) {
    Read(rows, {col, col + kTileCols}, tile);
    for (int64_t r = 0; r < rows.end - rows.begin; ++r) {
      const float inverse = scales[r] >= kLeastScale ? 1.0f / scales[r] : 0.0f;
      isa_.quantize({.x = tile.values[r],
                     .count = kTileCols,
                     .inverse_scale = inverse,
                     .zero = 128,
                     .top = 255,
                     .out = tile.numbers[r]});
    }
    StoreWords(layout_, panels_, rows, col, tile.Words(kTileCols / layout_.cols_per_step()));
  }
}

void IntegerPacker::PackColumnGroup(Range rows, int64_t col, UnfitWeights& unfit) const {
  Tile tile;
  const int64_t cols = layout_.group;
  Read(rows, {col, col + cols}, tile);
  for (int64_t r = 0; r < rows.end - rows.begin; ++r) {
    GroupRounding rounding = RoundGroup(isa_, layout_, tile.values[r]);
    if (!std::isfinite(F16ToF32(rounding.header.scale))) {
      const std::span<const float> weights(tile.values[r], static_cast<size_t>(cols));
      const bool is_finite = std::isfinite(rounding.peak);
      unfit.Note(rows.begin + r, "weight", is_finite ? rounding.peak : NotFinite(weights));
      return;
    }
    StoreHeader(layout_, panels_, rows.begin + r, col, rounding.header);
    rounding.quantize.out = tile.numbers[r];
    isa_.quantize(rounding.quantize);
    if (layout_.format == WeightFormat::kI4) PackNibbles(tile.numbers[r], cols);
  }
  StoreWords(layout_, panels_, rows, col, tile.Words(cols / layout_.cols_per_step()));
}

}  // namespace dray::kernels
