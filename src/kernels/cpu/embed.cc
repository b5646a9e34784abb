// Embed: rows of a table, read back out of its panels.
#include <algorithm>
#include <cstring>

#include "base/check.h"
#include "kernels/cpu/cpu_ops.h"
#include "kernels/cpu/pack/pack_floats.h"

namespace dray::kernels {
namespace {

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

}  // namespace

void CpuOps::Embed(const EmbedArgs& args) {
  if (!AreF32("Embed", {args.out.dtype})) return;
  const WeightMatrix& table = *args.table;
  const RowReader reader(team_.isa(), table);
  // Every step of a row is a cache line of its own.
  team_.Split(args.num_tokens, args.num_tokens * table.cols() * kLineBytes, [&](Range tokens) {
    for (int64_t t = tokens.begin; t < tokens.end; ++t) {
      DRAY_DCHECK(args.ids[t] >= -1 && args.ids[t] < table.rows());
      float* const out = args.out.as<float>() + t * args.out.stride;
      if (args.ids[t] >= 0) {
        reader.Read(args.ids[t], args.mode, out);
      } else if (args.mode == WriteMode::kOverwrite) {
        std::fill_n(out, table.cols(), 0.0f);
      }
    }
  });
}

}  // namespace dray::kernels
