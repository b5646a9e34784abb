// Embed: rows of a table, read back out of its panels.
#include <algorithm>

#include "base/check.h"
#include "kernels/cpu/cpu_ops.h"
#include "kernels/cpu/pack/panel_reader.h"

namespace dray::kernels {
namespace {

// One row of a table, a chunk of columns at a time.
class RowReader {
 public:
  RowReader(const IsaKernels& isa, const WeightMatrix& table) : reader_(isa, table) {}

  void Read(int64_t row, WriteMode mode, float* out) const {
    alignas(64) float values[kChunk];
    for (int64_t col = 0; col < reader_.cols(); col += kChunk) {
      const Range cols{col, std::min(col + kChunk, reader_.cols())};
      reader_.ReadFloats(row, cols, values);
      for (int64_t c = cols.begin; c < cols.end; ++c) {
        const float value = values[c - cols.begin];
        out[c] = mode == WriteMode::kAdd ? out[c] + value : value;
      }
    }
  }

 private:
  static constexpr int64_t kChunk = PanelReader::kMostColumns;

  PanelReader reader_;
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
