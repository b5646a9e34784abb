#include "kernels/cpu/cpu_packer.h"

#include <fmt/format.h>

#include <algorithm>
#include <cstring>
#include <numeric>
#include <optional>
#include <utility>
#include <vector>

#include "base/check.h"
#include "base/checked_math.h"
#include "kernels/cpu/pack/matrix_part.h"
#include "kernels/cpu/pack/pack_floats.h"
#include "kernels/cpu/pack/pack_integers.h"
#include "kernels/cpu/pack/pack_quantized.h"
#include "kernels/cpu/pack/square_summer.h"
#include "kernels/cpu/pack/unfit_weights.h"

namespace dray::kernels {
namespace {

// PanelLayout(spec).storage_bytes(), or nothing if that could exceed int64. No format takes more
// than four bytes for each weight.
std::optional<int64_t> StorageBytes(const MatrixSpec& spec) {
  constexpr int64_t kLargest = int64_t{1} << 40;
  if (spec.rows < 0 || spec.cols < 0 || spec.rows > kLargest || spec.cols > kLargest) return {};
  const auto elements =
      CheckedMul(RoundUp(spec.rows, kPanelRows), RoundUp(spec.cols, kLargestGroup));
  const auto bytes = elements ? CheckedMul(*elements, int64_t{4}) : std::nullopt;
  if (!bytes || !CheckedAdd(*bytes, kReadAhead)) return {};
  return PanelLayout(spec).storage_bytes();
}

// The panels that contain these rows.
Range PanelsOf(Range rows) {
  if (rows.begin == rows.end) return {};
  return {rows.begin / kPanelRows, (rows.end - 1) / kPanelRows + 1};
}

// Floats on their way into some rows of a matrix.
struct FloatSource {
  const IsaKernels& isa;
  const WeightMatrix& matrix;
  int64_t first_row;
  SourceRows rows;

  void Pack(Range panels, UnfitWeights& unfit) const {
    if (IsInteger(matrix.format())) {
      IntegerPacker(isa, matrix, first_row, rows).Pack(panels, unfit);
    } else {
      FloatPacker(isa, matrix, first_row, rows).Pack(panels);
    }
  }
};

// Packs one thread's share of a source of integers, a panel at a time, so that the unpacked rows
// stay in the thread's cache.
class PanelUnpacker {
 public:
  PanelUnpacker(const IsaKernels& isa, const WeightMatrix& matrix, const QuantizedSource& source,
                UnfitWeights& unfit)
      : isa_(isa), matrix_(matrix), source_(source), unfit_(unfit) {}

  // Packs `rows` of the source, which belong to one panel, into the matrix's rows from `first_row`.
  void Pack(int64_t first_row, std::span<const int64_t> rows) {
    const QuantizedRows unpacked = source_.Unpack(rows, buffer_);
    DRAY_CHECK(unpacked.cols == matrix_.cols() && unpacked.group > 0);
    const Range panel{first_row / kPanelRows, first_row / kPanelRows + 1};
    if (KeepsIntegers(matrix_.spec(), unpacked)) {
      QuantizedPacker(matrix_, first_row, unpacked).Pack(panel, unfit_);
      return;
    }
    floats_.resize(static_cast<size_t>(unpacked.rows * unpacked.cols));
    for (int64_t r = 0; r < unpacked.rows; ++r) {
      unpacked.ToFloats(r, floats_.data() + r * unpacked.cols);
    }
    const SourceRows floats = {floats_.data(), DType::kF32,   unpacked.rows,
                               unpacked.cols,  unpacked.cols, 1};
    FloatSource{isa_, matrix_, first_row, floats}.Pack(panel, unfit_);
  }

 private:
  const IsaKernels& isa_;
  const WeightMatrix& matrix_;
  const QuantizedSource& source_;
  UnfitWeights& unfit_;
  QuantizedBuffer buffer_;
  std::vector<float> floats_;
};

}  // namespace

WeightFormat CpuPacker::NativeFormat(DType dtype) const {
  switch (dtype) {
    case DType::kBF16:
      return WeightFormat::kBF16;
    case DType::kF16:
      return WeightFormat::kF16;
    default:
      return WeightFormat::kF32;
  }
}

Result<int64_t> CpuPacker::PackedBytes(const MatrixSpec& spec) const {
  const std::optional<int64_t> bytes = StorageBytes(spec);
  if (!bytes) {
    return Status(StatusCode::kInvalidArgument,
                  fmt::format("a matrix of {} x {} is not addressable", spec.rows, spec.cols));
  }
  if (IsInteger(spec.format) && spec.cols > kMaxIntegerCols) {
    return Status(StatusCode::kUnsupported,
                  fmt::format("a matrix of {} x {} in {}: at most {} columns; use a float format",
                              spec.rows, spec.cols, Name(spec.format), kMaxIntegerCols));
  }
  const int64_t group = GroupOf(spec);
  const bool has_groups = group == 32 || group == 64 || group == kLargestGroup;
  if (has_groups ? !IsInteger(spec.format) : group != 0 || spec.zero != ZeroPoint::kNone) {
    return Status(
        StatusCode::kUnsupported,
        fmt::format("{} weights in groups of {}{}: only int4 and int8 have groups, of 32, "
                    "64 or 128 columns, and only groups have zero points",
                    Name(spec.format), group,
                    spec.zero == ZeroPoint::kNone ? "" : " with zero points"));
  }
  if (spec.inputs == Inputs::kFloat && (spec.format != WeightFormat::kI8 || group != 0)) {
    return Status(StatusCode::kUnsupported,
                  fmt::format("{} weights beside float inputs: only int8 with a scale for each row",
                              Name(WeightForm(spec.format, group, spec.zero))));
  }
  return *bytes;
}

Result<WeightMatrix> CpuPacker::AllocateMatrix(const MatrixSpec& spec) {
  DRAY_ASSIGN_OR_RETURN(const int64_t bytes, PackedBytes(spec));
  DRAY_ASSIGN_OR_RETURN(Buffer storage, HostAllocator().Allocate(static_cast<size_t>(bytes)));
  // Linear gives each thread the same share of the panels, which lie one after another.
  if (team_.pool().num_nodes() > 1) team_.pool().TouchShares(storage.data(), bytes);
  return WeightMatrix(spec, std::move(storage));
}

Status CpuPacker::PackRows(WeightMatrix& matrix, int64_t first_row, const SourceRows& source) {
  DRAY_CHECK(first_row >= 0 && source.rows >= 0 && first_row + source.rows <= matrix.rows());
  DRAY_CHECK(source.cols == matrix.cols());
  DRAY_CHECK(IsWeightType(source.dtype) || source.dtype == DType::kF64);
  const Range panels = PanelsOf({first_row, first_row + source.rows});
  const FloatSource floats{team_.isa(), matrix, first_row, source};
  UnfitWeights unfit;
  const auto pack = [&](Range part) {
    floats.Pack({panels.begin + part.begin, panels.begin + part.end}, unfit);
  };
  const int64_t count = panels.end - panels.begin, bytes = source.rows * source.cols * 4;
  // Dense columns are read along the rows of a part, so the parts are as large as they can be.
  if (source.col_stride == 1) {
    team_.Distribute(count, bytes, pack);
  } else {
    team_.Split(count, bytes, pack);
  }
  return unfit.Check(matrix.spec());
}

Status CpuPacker::PackQuantizedRows(WeightMatrix& matrix, int64_t first_row,
                                    const QuantizedSource& source, std::span<const int64_t> rows) {
  const Range all{first_row, first_row + static_cast<int64_t>(rows.size())};
  DRAY_CHECK(first_row >= 0 && all.end <= matrix.rows());
  const Range panels = PanelsOf(all);
  UnfitWeights unfit;
  team_.Distribute(
      panels.end - panels.begin, (all.end - all.begin) * matrix.cols(), [&](Range part) {
        PanelUnpacker unpacker(team_.isa(), matrix, source, unfit);
        for (int64_t p = panels.begin + part.begin; p < panels.begin + part.end; ++p) {
          const Range here{std::max(p * kPanelRows, all.begin),
                           std::min((p + 1) * kPanelRows, all.end)};
          unpacker.Pack(here.begin, rows.subspan(static_cast<size_t>(here.begin - first_row),
                                                 static_cast<size_t>(here.end - here.begin)));
        }
      });
  return unfit.Check(matrix.spec());
}

void CpuPacker::AddSquares(const SourceRows& source, const SquareSums& sums) {
  const auto rows = static_cast<size_t>(source.rows), cols = static_cast<size_t>(source.cols);
  DRAY_CHECK(sums.columns.empty() || sums.columns.size() == cols);
  DRAY_CHECK(sums.rows.empty() || (sums.rows.size() == rows && sums.column_sizes.size() == cols));
  DRAY_CHECK(!sums.columns_over_rows ||
             !(sums.rows.empty() || sums.columns.empty() || source.has_factors()));
  SquareSummer summer(team_.isa(), source, sums);
  const int64_t bytes = source.rows * source.cols * 4;
  team_.Distribute(summer.blocks(), bytes, [&](Range blocks) { summer.AddBlocks(blocks); });
  if (sums.columns.empty()) return;
  team_.Distribute(source.cols, bytes, [&](Range columns) { summer.JoinColumns(columns); });
}

Result<WeightMatrix> CpuPacker::Adopt(const MatrixSpec& spec, SharedBytes packed) {
  DRAY_ASSIGN_OR_RETURN(const int64_t bytes, PackedBytes(spec));
  if (packed.bytes.size() != static_cast<size_t>(bytes)) {
    return Status(StatusCode::kCorrupt,
                  fmt::format("a matrix of {} x {} in {} takes {} bytes, but there are {}",
                              spec.rows, spec.cols, Name(spec.format), bytes, packed.bytes.size()));
  }
  return WeightMatrix(spec, std::move(packed));
}

Result<WeightMatrix> CpuPacker::TakePart(const WeightMatrix& whole, const MatrixPart& part) {
  DRAY_CHECK(part.cols > 0 && part.first_col >= 0 && part.first_col + part.cols <= whole.cols());
  const MatrixSpec spec = PartSpec(whole.spec(), part);
  DRAY_ASSIGN_OR_RETURN(auto shared, SharePanels(whole, part));
  if (shared) return WeightMatrix(spec, *std::move(shared));
  DRAY_ASSIGN_OR_RETURN(WeightMatrix matrix, AllocateMatrix(spec));
  if (IsInteger(whole.format())) {
    DRAY_RETURN_IF_ERROR(CopyIntegers(whole, part, matrix));
  } else {
    CopyFloats(whole, part, matrix);
  }
  return matrix;
}

// Numbers keep their format, so they are copied one by one.
void CpuPacker::CopyFloats(const WeightMatrix& whole, const MatrixPart& part, WeightMatrix& to) {
  const PanelReader reader(team_.isa(), whole);
  const PanelLayout layout(to.spec());
  const auto bytes = static_cast<size_t>(layout.element_bytes());
  const auto copy_row = [&](int64_t from_row, int64_t to_row) {
    constexpr int64_t kChunk = PanelReader::kMostColumns;
    std::byte numbers[kChunk * sizeof(float)];
    for (int64_t col = 0; col < part.cols; col += kChunk) {
      const int64_t end = std::min(col + kChunk, part.cols);
      reader.ReadNumbers(from_row, {part.first_col + col, part.first_col + end}, numbers);
      for (int64_t c = col; c < end; ++c) {
        std::memcpy(to.data() + layout.VectorOffset(to_row, c) + layout.LaneOffset(to_row, c),
                    numbers + static_cast<size_t>(c - col) * bytes, bytes);
      }
    }
  };
  for (const PartRows& piece : part.pieces) {
    team_.Distribute(piece.count, piece.count * part.cols * layout.element_bytes(),
                     [&](Range rows) {
                       for (int64_t r = rows.begin; r < rows.end; ++r)
                         copy_row(piece.whole_row + r, piece.row + r);
                     });
  }
}

Status CpuPacker::CopyIntegers(const WeightMatrix& whole, const MatrixPart& part,
                               WeightMatrix& to) {
  const PackedColumns source(team_.isa(), whole, {part.first_col, part.first_col + part.cols});
  for (const PartRows& piece : part.pieces) {
    std::vector<int64_t> rows(static_cast<size_t>(piece.count));
    std::iota(rows.begin(), rows.end(), piece.whole_row);
    DRAY_RETURN_IF_ERROR(PackQuantizedRows(to, piece.row, source, rows));
  }
  return OkStatus();
}

}  // namespace dray::kernels
