// The backend's weights: allocation, packing, and rows read back out of panels (Embed).
#include <fmt/format.h>

#include <algorithm>
#include <cstring>
#include <optional>
#include <utility>
#include <vector>

#include "base/check.h"
#include "base/checked_math.h"
#include "kernels/cpu/cpu_backend.h"
#include "kernels/cpu/pack/pack.h"
#include "kernels/cpu/pack/pack_integers.h"
#include "kernels/cpu/pack/pack_quantized.h"

namespace dray::kernels {
namespace {

// Bytes that PanelLayout(...).storage_bytes() would need, or nothing if that exceeds int64: four
// for each weight is more than any format takes.
std::optional<int64_t> StorageBytes(const MatrixSpec& spec) {
  constexpr int64_t kLargest = int64_t{1} << 40;
  if (spec.rows < 0 || spec.cols < 0 || spec.rows > kLargest || spec.cols > kLargest) return {};
  const auto elements =
      CheckedMul(RoundUp(spec.rows, kPanelRows), RoundUp(spec.cols, kLargestGroup));
  const auto bytes = elements ? CheckedMul(*elements, int64_t{4}) : std::nullopt;
  if (!bytes || !CheckedAdd(*bytes, kReadAhead)) return {};
  return PanelLayout(spec).storage_bytes();
}

// One row of a table, a chunk of columns at a time.
class RowReader {
 public:
  RowReader(const IsaKernels& isa, const WeightMatrix& table)
      : isa_(isa), layout_(table.spec()), table_(table) {}

  void Read(int64_t row, WriteMode mode, float* out) const {
    alignas(64) float values[kChunk];
    for (int64_t col = 0; col < table_.cols(); col += kChunk) {
      const Range cols{col, std::min(col + kChunk, table_.cols())};
      if (IsInteger(layout_.format)) {
        ReadIntegers(row, cols, values);
      } else {
        ReadNumbers(row, cols, values);
      }
      for (int64_t c = cols.begin; c < cols.end; ++c) {
        const float value = values[c - cols.begin];
        out[c] = mode == WriteMode::kAdd ? out[c] + value : value;
      }
    }
  }

 private:
  static constexpr int64_t kChunk = 256;

  const std::byte* Element(int64_t row, int64_t col) const {
    return table_.data() + layout_.VectorOffset(row, col) + layout_.LaneOffset(row, col);
  }

  void ReadNumbers(int64_t row, Range cols, float* values) const {
    alignas(64) std::byte raw[kChunk * sizeof(float)];
    const auto bytes = static_cast<size_t>(layout_.element_bytes());
    std::byte* to = raw;
    for (int64_t c = cols.begin; c < cols.end; ++c, to += bytes) {
      std::memcpy(to, Element(row, c), bytes);
    }
    isa_.convert(PanelType(layout_.format), raw, DType::kF32, values, cols.end - cols.begin);
  }

  float HalfAt(int64_t offset) const {
    uint16_t value;
    std::memcpy(&value, table_.data() + offset, sizeof(value));
    return F16ToF32(value);
  }

  void ReadIntegers(int64_t row, Range cols, float* values) const {
    const bool is_int4 = layout_.format == WeightFormat::kI4;
    for (int64_t c = cols.begin; c < cols.end; ++c) {
      int stored = std::to_integer<int>(*Element(row, c));
      if (is_int4) stored = c % 8 < 4 ? stored & 0x0F : stored >> 4;
      float scale, minus_zero = is_int4 ? -8.0f : -128.0f;
      if (layout_.group == 0) {
        std::memcpy(&scale, table_.data() + layout_.ScaleOffset(row, c), sizeof(scale));
      } else {
        scale = HalfAt(layout_.ScaleOffset(row, c));
        if (layout_.has_zeros()) minus_zero = HalfAt(layout_.ZeroOffset(row, c));
      }
      values[c - cols.begin] = (static_cast<float>(stored) + minus_zero) * scale;
    }
  }

  const IsaKernels& isa_;
  PanelLayout layout_;
  const WeightMatrix& table_;
};

// The panels that these rows touch.
Range PanelsOf(Range rows) {
  if (rows.begin == rows.end) return {};
  return {rows.begin / kPanelRows, (rows.end - 1) / kPanelRows + 1};
}

// Calls pack(packer) with what packs floats into a matrix of this format.
template <typename Pack>
void WithPacker(const IsaKernels& isa, const WeightMatrix& matrix, int64_t first_row,
                const SourceRows& source, const Pack& pack) {
  if (IsInteger(matrix.format())) {
    pack(IntegerPacker(isa, matrix, first_row, source));
  } else {
    pack(Packer(isa, matrix, first_row, source));
  }
}

// One thread's share of a source of integers, a panel at a time, so that what is unpacked stays in
// its cache.
class PanelUnpacker {
 public:
  PanelUnpacker(const IsaKernels& isa, const WeightMatrix& matrix, const QuantizedSource& source)
      : isa_(isa), matrix_(matrix), source_(source) {}

  // Rows that belong to one panel, whose first goes to `first_row`.
  void Pack(int64_t first_row, std::span<const int64_t> rows) {
    const QuantizedRows unpacked = source_.Unpack(rows, buffer_);
    DRAY_CHECK(unpacked.cols == matrix_.cols() && unpacked.group > 0);
    const Range panel{first_row / kPanelRows, first_row / kPanelRows + 1};
    if (Holds(matrix_.spec(), unpacked)) {
      QuantizedPacker(matrix_, first_row, unpacked).Pack(panel);
      return;
    }
    floats_.resize(static_cast<size_t>(unpacked.rows * unpacked.cols));
    for (int64_t r = 0; r < unpacked.rows; ++r) {
      unpacked.ToFloats(r, floats_.data() + r * unpacked.cols);
    }
    const SourceRows floats = {floats_.data(), DType::kF32,   unpacked.rows,
                               unpacked.cols,  unpacked.cols, 1};
    WithPacker(isa_, matrix_, first_row, floats, [&](const auto& packer) { packer.Pack(panel); });
  }

 private:
  const IsaKernels& isa_;
  const WeightMatrix& matrix_;
  const QuantizedSource& source_;
  QuantizedBuffer buffer_;
  std::vector<float> floats_;
};

}  // namespace

Result<WeightMatrix> CpuBackend::AllocateMatrix(const MatrixSpec& spec) {
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
  DRAY_ASSIGN_OR_RETURN(Buffer storage, HostAllocator().Allocate(static_cast<size_t>(*bytes)));
  // Linear gives each thread the same share of the panels, which lie one after another.
  if (pool_.num_nodes() > 1) pool_.TouchShares(storage.data(), *bytes);
  return WeightMatrix(spec, std::move(storage));
}

void CpuBackend::PackRows(WeightMatrix& matrix, int64_t first_row, const SourceRows& source) {
  DRAY_CHECK(first_row >= 0 && source.rows >= 0 && first_row + source.rows <= matrix.rows());
  DRAY_CHECK(source.cols == matrix.cols());
  DRAY_CHECK(IsWeightType(source.dtype) || source.dtype == DType::kF64);
  const Range panels = PanelsOf({first_row, first_row + source.rows});
  WithPacker(isa_, matrix, first_row, source, [&](const auto& packer) {
    Split(panels.end - panels.begin, source.rows * source.cols * 4, [&](Range part) {
      packer.Pack(Range{panels.begin + part.begin, panels.begin + part.end});
    });
  });
}

void CpuBackend::PackQuantizedRows(WeightMatrix& matrix, int64_t first_row,
                                   const QuantizedSource& source, std::span<const int64_t> rows) {
  const Range all{first_row, first_row + static_cast<int64_t>(rows.size())};
  DRAY_CHECK(first_row >= 0 && all.end <= matrix.rows());
  const Range panels = PanelsOf(all);
  Split(panels.end - panels.begin, (all.end - all.begin) * matrix.cols(), [&](Range part) {
    PanelUnpacker unpacker(isa_, matrix, source);
    for (int64_t p = panels.begin + part.begin; p < panels.begin + part.end; ++p) {
      const Range here{std::max(p * kPanelRows, all.begin),
                       std::min((p + 1) * kPanelRows, all.end)};
      unpacker.Pack(here.begin, rows.subspan(static_cast<size_t>(here.begin - first_row),
                                             static_cast<size_t>(here.end - here.begin)));
    }
  });
}

void CpuBackend::Embed(const EmbedArgs& args) {
  const WeightMatrix& table = *args.table;
  const RowReader reader(isa_, table);
  // Every step of a row is a cache line of its own.
  Split(args.num_tokens, args.num_tokens * table.cols() * kLineBytes, [&](Range tokens) {
    for (int64_t t = tokens.begin; t < tokens.end; ++t) {
      DRAY_DCHECK(args.ids[t] >= 0 && args.ids[t] < table.rows());
      reader.Read(args.ids[t], args.mode, args.out + t * table.cols());
    }
  });
}

}  // namespace dray::kernels
