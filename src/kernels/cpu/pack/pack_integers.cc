// Packs sixteen rows at a time: they are read as floats, rounded to integers row by row, and stored as words of four
// (8-bit) or eight (4-bit) columns. Rows that the source has one after the other are read one at a time, so that a row
// stays in the first cache while it is measured and rounded.
#include "kernels/cpu/pack/pack_integers.h"

#include <algorithm>
#include <cmath>
#include <cstring>
#include <limits>
#include <span>
#include <vector>

#include "kernels/cpu/pack/pack_words.h"
#include "kernels/cpu/pack/round_group.h"

namespace dray::kernels {
namespace {

// The least scale of a row whose reciprocal is finite. The weights of rows with smaller scales become
// zero.
constexpr float kLeastScale = std::numeric_limits<float>::min();

// Returns the first number that is NaN or infinite. There must be one.
float NotFinite(std::span<const float> x) {
  return *std::find_if(x.begin(), x.end(), [](float v) { return !std::isfinite(v); });
}

}  // namespace

struct IntegerPacker::RowBuffer {
  RowBuffer(int64_t rows, int64_t cols)
      : values(static_cast<size_t>(rows * cols)), numbers(static_cast<size_t>(kWordRows * cols)) {}

  std::vector<float> values;  // of the rows that are read at once
  std::vector<uint8_t>
      numbers;  // [kWordRows, columns]: the integers; those of 4 bits as PackNibbles leaves them
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
  RowBuffer buffer(reader_.has_dense_rows() ? 1 : kWordRows, layout_.padded_cols);
  for (int64_t g = 2 * panels.begin; g < 2 * panels.end; ++g) {
    if (GroupRows(g).begin < GroupRows(g).end) PackGroupOfRows(GroupRows(g), buffer, unfit);
  }
}

// Returns whether the row can be stored. If not, notes it.
bool IntegerPacker::RoundRow(int64_t row, std::span<const float> values, uint8_t* numbers,
                             UnfitWeights& unfit) const {
  const auto count = static_cast<int64_t>(values.size());
  const float peak = std::abs(isa_.peak(values.data(), count));
  const float scale = std::isnan(peak) ? 0.0f : peak / 127.0f;
  std::memcpy(panels_ + layout_.ScaleOffset(row, 0), &scale, sizeof(float));
  if (std::isnan(peak)) {
    unfit.Note(row, "weight", NotFinite(values));
    return false;
  }
  isa_.quantize({.x = values.data(),
                 .count = count,
                 .inverse_scale = scale >= kLeastScale ? 1.0f / scale : 0.0f,
                 .zero = 128,
                 .top = 255,
                 .out = numbers});
  return true;
}

// Does the same with a row whose groups of columns have scales.
bool IntegerPacker::RoundGroups(int64_t row, std::span<const float> values, uint8_t* numbers,
                                UnfitWeights& unfit) const {
  for (int64_t col = 0; col < layout_.padded_cols; col += layout_.group) {
    const auto group = values.subspan(static_cast<size_t>(col), static_cast<size_t>(layout_.group));
    GroupRounding rounding = RoundGroup(isa_, layout_, group.data());
    if (!std::isfinite(F16ToF32(rounding.header.scale))) {
      unfit.Note(row, "weight", std::isfinite(rounding.peak) ? rounding.peak : NotFinite(group));
      return false;
    }
    StoreHeader(layout_, panels_, row, col, rounding.header);
    rounding.quantize.out = numbers + col;
    isa_.quantize(rounding.quantize);
  }
  if (layout_.format == WeightFormat::kI4) PackNibbles(numbers, layout_.padded_cols);
  return true;
}

void IntegerPacker::PackGroupOfRows(Range rows, RowBuffer& buffer, UnfitWeights& unfit) const {
  const int64_t cols = layout_.padded_cols;
  const auto rows_at_once = static_cast<int64_t>(buffer.values.size()) / cols;
  bool all_fit = true;
  for (int64_t first = rows.begin; first < rows.end; first += rows_at_once) {
    const int64_t end = std::min(first + rows_at_once, rows.end);
    reader_.Read({first - first_row_, end - first_row_}, {0, cols}, buffer.values.data(), cols);
    for (int64_t row = first; row < end; ++row) {
      const auto values =
          std::span(buffer.values)
              .subspan(static_cast<size_t>((row - first) * cols), static_cast<size_t>(cols));
      uint8_t* const numbers = buffer.numbers.data() + (row - rows.begin) * cols;
      all_fit &= layout_.group == 0 ? RoundRow(row, values, numbers, unfit)
                                    : RoundGroups(row, values, numbers, unfit);
    }
  }
  if (all_fit) StoreRows(rows, buffer);
}

void IntegerPacker::StoreRows(Range rows, const RowBuffer& buffer) const {
  const int64_t cols = layout_.padded_cols,
                cols_at_once = layout_.group == 0 ? cols : layout_.group;
  const int64_t words = cols_at_once / layout_.cols_per_step();
  const auto* numbers = reinterpret_cast<const std::byte*>(buffer.numbers.data());
  for (int64_t col = 0; col < cols; col += cols_at_once, numbers += words * 4) {
    StoreWords(layout_, panels_, rows, col, {numbers, cols, words});
  }
}

}  // namespace dray::kernels
