// Weights into panels, and rows out of them again (Embed).
//
// A source is read in tiles of 16 rows by kTileCols columns. Where it is dense and already of the
// panel's type, tiles are transposed straight from it; anything else is first converted into a
// small tile on the stack, read along whichever of its strides is one.
#include <algorithm>
#include <cstring>

#include "base/check.h"
#include "kernels/cpu/cpu_backend.h"

namespace dray::kernels {
namespace {

constexpr int64_t kTileRows = 16;
constexpr int64_t kTileCols = 32;

template <typename T>
T LoadAs(const std::byte* p) {
  T value;
  std::memcpy(&value, p, sizeof(value));
  return value;
}

float LoadF32(DType dtype, const std::byte* p) {
  switch (dtype) {
    case DType::kF32:
      return LoadAs<float>(p);
    case DType::kF16:
      return F16ToF32(LoadAs<uint16_t>(p));
    case DType::kBF16:
      return BF16ToF32(LoadAs<uint16_t>(p));
    default:
      return static_cast<float>(LoadAs<double>(p));
  }
}

DType PanelType(WeightFormat format) {
  switch (format) {
    case WeightFormat::kF32:
      return DType::kF32;
    case WeightFormat::kF16:
      return DType::kF16;
    case WeightFormat::kBF16:
      return DType::kBF16;
  }
  return DType::kF32;
}

void StoreElement(DType dtype, float value, std::byte* p) {
  if (dtype == DType::kF32) {
    std::memcpy(p, &value, sizeof(value));
    return;
  }
  const uint16_t bits = dtype == DType::kF16 ? F32ToF16(value) : F32ToBF16(value);
  std::memcpy(p, &bits, sizeof(bits));
}

// A 4 x 4 transpose of 32-bit words: row i of the result is column i of rows a, b, c, d.
typedef uint32_t Words __attribute__((vector_size(16)));
void Transpose4(const std::byte* const (&rows)[4], std::byte* out, int64_t out_stride) {
  const Words a = LoadAs<Words>(rows[0]), b = LoadAs<Words>(rows[1]);
  const Words c = LoadAs<Words>(rows[2]), d = LoadAs<Words>(rows[3]);
  const Words ab_low = __builtin_shuffle(a, b, Words{0, 4, 1, 5});
  const Words ab_high = __builtin_shuffle(a, b, Words{2, 6, 3, 7});
  const Words cd_low = __builtin_shuffle(c, d, Words{0, 4, 1, 5});
  const Words cd_high = __builtin_shuffle(c, d, Words{2, 6, 3, 7});
  const Words columns[4] = {__builtin_shuffle(ab_low, cd_low, Words{0, 1, 4, 5}),
                            __builtin_shuffle(ab_low, cd_low, Words{2, 3, 6, 7}),
                            __builtin_shuffle(ab_high, cd_high, Words{0, 1, 4, 5}),
                            __builtin_shuffle(ab_high, cd_high, Words{2, 3, 6, 7})};
  for (int i = 0; i < 4; ++i) std::memcpy(out + i * out_stride, &columns[i], sizeof(Words));
}

// Splits each vector of 16 (k, k + 1) pairs of 16-bit numbers into its first and second numbers.
void SplitPairs(std::byte* vectors, int64_t count) {
  for (int64_t v = 0; v < count; ++v, vectors += kStepBytes) {
    uint16_t pairs[32], split[32];
    std::memcpy(pairs, vectors, sizeof(pairs));
    for (int i = 0; i < 16; ++i) {
      split[i] = pairs[2 * i];
      split[16 + i] = pairs[2 * i + 1];
    }
    std::memcpy(vectors, split, sizeof(split));
  }
}

// One source and the part of a panel matrix that it fills.
class Packer {
 public:
  Packer(const WeightMatrix& matrix, int64_t first_row, const SourceRows& source)
      : layout_(matrix.format(), matrix.rows(), matrix.cols()),
        panels_(matrix.data()),
        type_(PanelType(matrix.format())),
        first_row_(first_row),
        source_(source),
        source_bytes_(static_cast<int64_t>(SizeOf(source.dtype))),
        element_bytes_(layout_.element_bytes()) {}

  // Groups of 16 rows of the matrix that the source touches.
  Range Groups() const {
    return {first_row_ / kTileRows, (first_row_ + source_.rows + kTileRows - 1) / kTileRows};
  }

  void PackGroup(int64_t group) const {
    const int64_t begin = std::max(group * kTileRows, first_row_);
    const int64_t end = std::min((group + 1) * kTileRows, first_row_ + source_.rows);
    for (int64_t col = 0; col < source_.cols; col += kTileCols) {
      const Range cols{col, std::min(col + kTileCols, source_.cols)};
      if (end - begin == kTileRows && cols.end - cols.begin == kTileCols) {
        PackTile(begin, col);
      } else {
        PackElements(Range{begin, end}, cols);
      }
    }
  }

 private:
  const std::byte* Source(int64_t row, int64_t col) const {
    return static_cast<const std::byte*>(source_.data) +
           ((row - first_row_) * source_.row_stride + col * source_.col_stride) * source_bytes_;
  }
  std::byte* Vector(int64_t row, int64_t col) const {
    return panels_ + layout_.VectorOffset(row, col);
  }

  // A whole tile.
  void PackTile(int64_t row, int64_t col) const {
    alignas(64) std::byte tile[kTileRows * kTileCols * sizeof(float)];
    const std::byte* from = Source(row, col);
    int64_t stride = source_.row_stride * source_bytes_;
    if (source_.dtype != type_ || source_.col_stride != 1) {
      Stage(row, col, tile);
      from = tile;
      stride = kTileCols * element_bytes_;
    }
    std::byte* to = Vector(row, col);
    const int64_t words = kTileCols * element_bytes_ / 4;
    for (int64_t r = 0; r < kTileRows; r += 4) {
      for (int64_t w = 0; w < words; w += 4) {
        const std::byte* part = from + r * stride + w * 4;
        Transpose4({part, part + stride, part + 2 * stride, part + 3 * stride},
                   to + w * kStepBytes + r * 4, kStepBytes);
      }
    }
    if (type_ == DType::kF16) SplitPairs(to, words);
  }

  // Converts a tile into [kTileRows][kTileCols] of the panel's type.
  void Stage(int64_t row, int64_t col, std::byte* tile) const {
    const auto put = [&](int64_t r, int64_t c) {
      std::byte* to = tile + (r * kTileCols + c) * element_bytes_;
      const std::byte* from = Source(row + r, col + c);
      if (source_.dtype == type_) {
        std::memcpy(to, from, static_cast<size_t>(element_bytes_));
      } else {
        StoreElement(type_, LoadF32(source_.dtype, from), to);
      }
    };
    if (source_.col_stride == 1) {
      for (int64_t r = 0; r < kTileRows; ++r) {
        for (int64_t c = 0; c < kTileCols; ++c) put(r, c);
      }
    } else {
      for (int64_t c = 0; c < kTileCols; ++c) {
        for (int64_t r = 0; r < kTileRows; ++r) put(r, c);
      }
    }
  }

  // The edges, element by element.
  void PackElements(Range rows, Range cols) const {
    for (int64_t c = cols.begin; c < cols.end; ++c) {
      for (int64_t r = rows.begin; r < rows.end; ++r) {
        const float value = LoadF32(source_.dtype, Source(r, c));
        StoreElement(type_, value, Vector(r, c) + layout_.LaneOffset(r, c));
      }
    }
  }

  PanelLayout layout_;
  std::byte* panels_;
  DType type_;
  int64_t first_row_;
  SourceRows source_;
  int64_t source_bytes_;
  int64_t element_bytes_;
};

}  // namespace

void CpuBackend::PackRows(WeightMatrix& matrix, int64_t first_row, const SourceRows& source) {
  DRAY_CHECK(first_row >= 0 && source.rows >= 0 && first_row + source.rows <= matrix.rows());
  DRAY_CHECK(source.cols == matrix.cols());
  DRAY_CHECK(IsWeightType(source.dtype) || source.dtype == DType::kF64);
  if (source.rows == 0) return;
  const Packer packer(matrix, first_row, source);
  const Range groups = packer.Groups();
  Split(groups.end - groups.begin, source.rows * source.cols * 4, [&](Range part) {
    for (int64_t g = part.begin; g < part.end; ++g) packer.PackGroup(groups.begin + g);
  });
}

void CpuBackend::Embed(const EmbedArgs& args) {
  const WeightMatrix& table = *args.table;
  const PanelLayout layout(table.format(), table.rows(), table.cols());
  const DType type = PanelType(table.format());
  // Every step of a row is a cache line of its own.
  Split(args.num_tokens, args.num_tokens * table.cols() * kLineBytes, [&](Range tokens) {
    for (int64_t t = tokens.begin; t < tokens.end; ++t) {
      float* out = args.out + t * table.cols();
      const int64_t row = args.ids[t];
      DRAY_DCHECK(row >= 0 && row < table.rows());
      for (int64_t c = 0; c < table.cols(); ++c) {
        const std::byte* p = table.data() + layout.VectorOffset(row, c) + layout.LaneOffset(row, c);
        const float value = LoadF32(type, p);
        out[c] = args.mode == WriteMode::kAdd ? out[c] + value : value;
      }
    }
  });
}

}  // namespace dray::kernels
