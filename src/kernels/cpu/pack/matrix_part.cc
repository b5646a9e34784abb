#include "kernels/cpu/pack/matrix_part.h"

#include <algorithm>
#include <memory>
#include <numeric>
#include <utility>

#include "base/checked_math.h"

namespace dray::kernels {
namespace {

// What keeps the memory of a part that has panels of zeros.
struct PartMemory {
  std::shared_ptr<const void> whole;
  Buffer zeros;
};

// Whether the part's columns are whole steps and groups of the panels, and end where the padding of
// the part may be any numbers: the activations there are zero, and so is each product.
bool SharesColumns(const WeightMatrix& whole, const MatrixPart& part, const PanelLayout& layout) {
  const int64_t unit = ColumnUnit(layout.format, layout.group);
  const int64_t end = part.first_col + part.cols;
  return part.first_col % unit == 0 && (part.cols % unit == 0 || end == whole.cols());
}

// The panel of the whole that has rows [first, first + count) of the part from its first row on;
// -1: the part has no such rows, all of them are zero. Nothing if it is neither.
std::optional<int64_t> PanelOf(const MatrixPart& part, int64_t first, int64_t count) {
  for (const PartRows& piece : part.pieces) {
    if (first >= piece.row + piece.count || first + count <= piece.row) continue;
    const int64_t whole_row = piece.whole_row + first - piece.row;
    const bool is_inside = first >= piece.row && first + count <= piece.row + piece.count;
    if (!is_inside || whole_row % kPanelRows != 0) return std::nullopt;
    return whole_row / kPanelRows;
  }
  return -1;
}

}  // namespace

Result<std::optional<SharedBlocks>> SharePanels(const WeightMatrix& whole, const MatrixPart& part) {
  const PanelLayout from(whole.spec());
  const PanelLayout to(PartSpec(whole.spec(), part));
  std::optional<SharedBlocks> none;
  if (part.rows == 0 || !whole.is_shared() || !SharesColumns(whole, part, from)) return none;
  const PanelPlaces places(whole, from);
  const int64_t first_step = from.StepOffset(part.first_col) - from.header_bytes;
  SharedBlocks shared;
  shared.skipped_bytes = whole.skipped_bytes();
  // The scales of int8 rows belong to all columns. In the other formats a panel of the part is a
  // piece of the whole's panel.
  const int64_t begin = from.scale_bytes() > 0 ? 0 : first_step;
  if (from.scale_bytes() > 0) shared.skipped_bytes += first_step - from.scale_bytes();
  const auto memory = std::make_shared<PartMemory>();
  for (int64_t p = 0; p < to.panels; ++p) {
    const int64_t first = p * kPanelRows;
    const auto panel = PanelOf(part, first, std::min(kPanelRows, part.rows - first));
    if (!panel) return none;
    if (*panel >= 0) {
      shared.blocks.push_back(places.Begin(*panel) + begin);
      continue;
    }
    if (memory->zeros.data() == nullptr) {
      const int64_t bytes = shared.skipped_bytes + to.panel_bytes + kReadAhead;
      DRAY_ASSIGN_OR_RETURN(memory->zeros, HostAllocator().Allocate(static_cast<size_t>(bytes)));
    }
    shared.blocks.push_back(memory->zeros.data());
  }
  memory->whole = whole.owner();
  shared.owner = memory;
  shared.size_bytes = static_cast<size_t>(to.panels * to.panel_bytes);
  return std::optional(std::move(shared));
}

PackedColumns::PackedColumns(const IsaKernels& isa, const WeightMatrix& matrix, Range cols)
    : reader_(isa, matrix), cols_(cols) {}

int64_t PackedColumns::GroupCols() const {
  const int64_t group = reader_.layout().group;
  if (group == 0) return cols_.end - cols_.begin;
  return std::gcd(group, cols_.begin % group);
}

QuantizedRows PackedColumns::Unpack(std::span<const int64_t> rows, QuantizedBuffer& buffer) const {
  const PanelLayout& layout = reader_.layout();
  QuantizedRows unpacked;
  unpacked.rows = static_cast<int64_t>(rows.size());
  unpacked.cols = unpacked.row_stride = cols_.end - cols_.begin;
  unpacked.bits = layout.format == WeightFormat::kI4 ? 4 : 8;
  unpacked.group = GroupCols();
  buffer.values.resize(static_cast<size_t>(unpacked.rows * unpacked.cols));
  buffer.scales.clear();
  buffer.minimums.clear();
  uint8_t* out = buffer.values.data();
  for (const int64_t row : rows) {
    reader_.ReadIntegers(row, cols_, out);
    out += unpacked.cols;
    for (int64_t col = cols_.begin; col < cols_.end; col += unpacked.group) {
      const float scale = reader_.Scale(row, col);
      buffer.scales.push_back(scale);
      // The product of two f16 numbers is exact, so dividing it gives the zero point again.
      if (layout.has_zeros()) buffer.minimums.push_back(-reader_.MinusZero(row, col) * scale);
    }
  }
  unpacked.values = buffer.values.data();
  unpacked.scales = buffer.scales.data();
  unpacked.minimums = layout.has_zeros() ? buffer.minimums.data() : nullptr;
  return unpacked;
}

}  // namespace dray::kernels
