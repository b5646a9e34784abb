// A source is read in tiles of 16 rows and kTileCols columns, row by row. If the source's rows are dense and of the
// panel's type, a tile is transposed straight from the source; numbers of other types are first converted into a tile
// on the stack, and so are those of a source that has factors. If the source's columns are dense, because the
// checkpoint stores the matrix transposed, sixteen rows of a column are almost a panel's vector already.
#include "kernels/cpu/pack/pack_floats.h"

#include <algorithm>
#include <cstring>

#include "kernels/cpu/pack/transpose.h"

namespace dray::kernels {
namespace {

constexpr int64_t kTileRows = 16;
// So many that the pieces of rows are long, and that a tile and its panels stay in the first cache.
constexpr int64_t kTileCols = 128;
// Columns of a tile are a multiple of this; the columns behind the last such tile are packed one by one.
constexpr int64_t kColumnUnit = 32;

typedef uint16_t Halves __attribute__((vector_size(16)));

// Stores the words of sixteen rows as steps of f32 or bf16 panels. Four rows to their end: sixteen rows whose distance is a
// power of two do not fit into the first cache.
void StoreWordsOfRows(const std::byte* from, int64_t stride, int64_t words, std::byte* to) {
  for (int64_t r = 0; r < kTileRows; r += 4) {
    for (int64_t word = 0; word < words; word += 4) {
      Words channels[4];
      Transpose4(from + r * stride + word * 4, stride, channels);
      for (int64_t i = 0; i < 4; ++i) {
        std::memcpy(to + (word + i) * kStepBytes + r * 4, &channels[i], sizeof(Words));
      }
    }
  }
}

// Stores one step of an f16 panel: the first numbers of all pairs, then the second ones.
void StorePairs(const Words (&pairs)[4], std::byte* vector) {
  for (int64_t i = 0; i < 4; i += 2) {
    Halves a, b;
    std::memcpy(&a, &pairs[i], sizeof(a));
    std::memcpy(&b, &pairs[i + 1], sizeof(b));
    const Halves first = __builtin_shufflevector(a, b, 0, 2, 4, 6, 8, 10, 12, 14);
    const Halves second = __builtin_shufflevector(a, b, 1, 3, 5, 7, 9, 11, 13, 15);
    std::memcpy(vector + i * 8, &first, sizeof(first));
    std::memcpy(vector + 32 + i * 8, &second, sizeof(second));
  }
}

// Stores the pairs of sixteen rows as steps of an f16 panel. All rows of a step at once: four rows have 8 bytes of each
// half, and so many small stores take twice the time.
void StorePairsOfRows(const std::byte* from, int64_t stride, int64_t pairs, std::byte* to) {
  for (int64_t pair = 0; pair < pairs; pair += 4) {
    Words steps[4][4];
    for (int64_t r = 0; r < 4; ++r) {
      Words channels[4];
      Transpose4(from + 4 * r * stride + pair * 4, stride, channels);
      for (int64_t i = 0; i < 4; ++i) steps[i][r] = channels[i];
    }
    for (int64_t i = 0; i < 4; ++i) StorePairs(steps[i], to + (pair + i) * kStepBytes);
  }
}

// Stores two columns of sixteen 16-bit numbers as sixteen pairs.
void InterleaveColumns(const uint16_t* first, const uint16_t* second, std::byte* vector) {
  for (int64_t i = 0; i < kTileRows; i += 8) {
    Halves a, b;
    std::memcpy(&a, first + i, sizeof(a));
    std::memcpy(&b, second + i, sizeof(b));
    const Halves low = __builtin_shufflevector(a, b, 0, 8, 1, 9, 2, 10, 3, 11);
    const Halves high = __builtin_shufflevector(a, b, 4, 12, 5, 13, 6, 14, 7, 15);
    std::memcpy(vector + i * 4, &low, sizeof(low));
    std::memcpy(vector + i * 4 + 16, &high, sizeof(high));
  }
}

}  // namespace

DType PanelType(WeightFormat format) {
  switch (format) {
    case WeightFormat::kF16:
      return DType::kF16;
    case WeightFormat::kBF16:
      return DType::kBF16;
    default:
      return DType::kF32;
  }
}

FloatPacker::FloatPacker(const IsaKernels& isa, const WeightMatrix& matrix, int64_t first_row,
                         const SourceRows& source)
    : isa_(isa),
      layout_(matrix.spec()),
      panels_(matrix.data()),
      type_(PanelType(matrix.format())),
      first_row_(first_row),
      reader_(isa, source),
      source_(source),
      source_bytes_(static_cast<int64_t>(SizeOf(source.dtype))),
      element_bytes_(layout_.element_bytes()) {}

void FloatPacker::Pack(Range panels) const {
  // Dense rows are read as 32 streams, one panel at a time. Dense columns are read along all rows.
  const int64_t panels_at_once = source_.col_stride == 1 ? 1 : panels.end - panels.begin;
  for (int64_t p = panels.begin; p < panels.end; p += panels_at_once) {
    const int64_t end = std::min(p + panels_at_once, panels.end);
    const int64_t cols = source_.col_stride == 1 ? kTileCols : kColumnUnit;
    for (int64_t col = 0; col < source_.cols; col += cols) {
      for (int64_t group = 2 * p; group < 2 * end; ++group)
        PackGroup(group, {col, std::min(col + cols, source_.cols)});
    }
  }
}

// Packs the rows of a group of sixteen that the source has, in up to kTileCols columns.
void FloatPacker::PackGroup(int64_t group, Range cols) const {
  const Range rows{std::max(group * kTileRows, Rows().begin),
                   std::min((group + 1) * kTileRows, Rows().end)};
  if (rows.begin >= rows.end) return;
  if (rows.end - rows.begin == kTileRows) {
    const int64_t end = cols.begin + (cols.end - cols.begin) / kColumnUnit * kColumnUnit;
    PackTile(rows.begin, {cols.begin, end});
    cols.begin = end;
  }
  PackElements(rows, cols);
}

const std::byte* FloatPacker::Source(int64_t row, int64_t col) const {
  return static_cast<const std::byte*>(source_.data) +
         ((row - first_row_) * source_.row_stride + col * source_.col_stride) * source_bytes_;
}

void FloatPacker::PackTile(int64_t row, Range cols) const {
  const bool has_dense_columns = source_.row_stride == 1 && source_.col_stride != 1;
  if (has_dense_columns && !source_.has_factors()) return PackTileByColumns(row, cols);
  const int64_t count = cols.end - cols.begin;
  alignas(64) std::byte tile[kTileRows * kTileCols * sizeof(float)];
  const std::byte* from = tile;
  int64_t stride = count * element_bytes_;
  if (source_.has_factors()) {
    StageProducts(row, cols, tile);
  } else if (source_.dtype != type_ || source_.col_stride != 1) {
    StageRows(row, cols, tile);
  } else {
    from = Source(row, cols.begin);
    stride = source_.row_stride * source_bytes_;
  }
  const auto store = layout_.format == WeightFormat::kF16 ? StorePairsOfRows : StoreWordsOfRows;
  store(from, stride, count * element_bytes_ / 4, Vector(row, cols.begin));
}

// Does what StageRows does, with the source's factors.
void FloatPacker::StageProducts(int64_t row, Range cols, std::byte* tile) const {
  float products[kTileRows * kTileCols];
  const int64_t first = row - first_row_, count = cols.end - cols.begin;
  reader_.Read({first, first + kTileRows}, cols, products, count);
  isa_.convert(DType::kF32, products, type_, tile, kTileRows * count);
}

// Copies a tile to [kTileRows][columns] numbers of the panel's type.
void FloatPacker::StageRows(int64_t row, Range cols, std::byte* tile) const {
  const int64_t count = cols.end - cols.begin, run = source_.col_stride == 1 ? count : 1;
  for (int64_t r = 0; r < kTileRows; ++r) {
    for (int64_t c = 0; c < count; c += run) {
      isa_.convert(source_.dtype, Source(row + r, cols.begin + c), type_,
                   tile + (r * count + c) * element_bytes_, run);
    }
  }
}

void FloatPacker::PackTileByColumns(int64_t row, Range cols) const {
  for (int64_t c = cols.begin; c < cols.end; c += layout_.cols_per_step()) {
    std::byte* vector = Vector(row, c);
    const std::byte* first = Source(row, c);
    if (layout_.format == WeightFormat::kF32) {
      isa_.convert(source_.dtype, first, type_, vector, kTileRows);
      continue;
    }
    uint16_t columns[2][kTileRows];
    isa_.convert(source_.dtype, first, type_, columns[0], kTileRows);
    isa_.convert(source_.dtype, Source(row, c + 1), type_, columns[1], kTileRows);
    if (layout_.format == WeightFormat::kBF16) {
      InterleaveColumns(columns[0], columns[1], vector);
    } else {
      std::memcpy(vector, columns, sizeof(columns));
    }
  }
}

// Packs the matrix's edges, where a tile is not full.
void FloatPacker::PackElements(Range rows, Range cols) const {
  for (int64_t c = cols.begin; c < cols.end; ++c) {
    for (int64_t r = rows.begin; r < rows.end; ++r) {
      std::byte* const to = Vector(r, c) + layout_.LaneOffset(r, c);
      if (!source_.has_factors()) {
        isa_.convert(source_.dtype, Source(r, c), type_, to, 1);
        continue;
      }
      float product;
      const int64_t row = r - first_row_;
      reader_.Read({row, row + 1}, {c, c + 1}, &product, 1);
      isa_.convert(DType::kF32, &product, type_, to, 1);
    }
  }
}

}  // namespace dray::kernels
