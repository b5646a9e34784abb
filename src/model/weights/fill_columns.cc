#include "model/weights/fill_columns.h"

#include <utility>

namespace dray::model {
namespace {

// Whether the columns have scales of their own in the whole matrix.
bool HaveOwnScales(const kernels::MatrixSpec& whole, const kernels::MatrixPart& part) {
  if (!kernels::IsInteger(whole.format) || part.cols == whole.cols) return true;
  const int64_t group = kernels::GroupOf(whole);
  if (group == 0) return false;
  const int64_t end = part.first_col + part.cols;
  return part.first_col % group == 0 && (end % group == 0 || end == whole.cols);
}

// The rank's part of the slot; it must hold columns.
kernels::MatrixPart PartOf(const SlotSlices& slices) {
  const checkpoint::ColumnRange columns = slices.stored_columns();
  kernels::MatrixPart part = {.rows = slices.rows.local_size,
                              .pieces = {},
                              .first_col = columns.begin,
                              .cols = columns.count};
  for (const parallel::Piece& piece : slices.rows.pieces) {
    part.pieces.push_back({piece.local, piece.global, piece.count});
  }
  return part;
}

}  // namespace

kernels::MatrixSpec RankSpec(const kernels::MatrixSpec& all_columns, const SlotSlices& slices) {
  if (slices.stored_columns().count > 0) return PartSpec(all_columns, PartOf(slices));
  kernels::MatrixSpec padding = all_columns;
  padding.rows = slices.rows.local_size;
  padding.cols = slices.cols.local_size;
  return padding;
}

Result<kernels::WeightMatrix> TakeRankPart(kernels::Packer& packer,
                                           const kernels::WeightMatrix& whole,
                                           const SlotSlices& slices) {
  if (slices.stored_columns().count == 0) {
    return packer.AllocateMatrix(RankSpec(whole.spec(), slices));
  }
  return packer.TakePart(whole, PartOf(slices));
}

Result<kernels::WeightMatrix> FillColumns(kernels::Packer& packer, const kernels::MatrixSpec& spec,
                                          const SlotSlices& slices, const PackColumns& pack) {
  const checkpoint::ColumnRange columns = slices.stored_columns();
  const kernels::MatrixSpec local = RankSpec(spec, slices);
  if (columns.count == 0) return packer.AllocateMatrix(local);
  // Rows are the rank's already.
  kernels::MatrixPart part = PartOf(slices);
  part.pieces = {{0, 0, part.rows}};
  if (HaveOwnScales(spec, part)) {
    DRAY_ASSIGN_OR_RETURN(auto matrix, packer.AllocateMatrix(local));
    DRAY_RETURN_IF_ERROR(pack(matrix, columns));
    return matrix;
  }
  DRAY_ASSIGN_OR_RETURN(auto whole, packer.AllocateMatrix(spec));
  DRAY_RETURN_IF_ERROR(pack(whole, {0, spec.cols}));
  return packer.TakePart(whole, part);
}

Status KeepWeight(const LoadOptions& options, const WeightPlace& place, Weight weight,
                  Weights& weights) {
  if (options.take) return options.take(place, weight);
  if (weight.matrix.rows() > 0) {
    weights.SetMatrix(place.slot, place.layer, std::move(weight.matrix));
  } else {
    weights.SetVector(place.slot, place.layer, std::move(weight.vector));
  }
  return OkStatus();
}

}  // namespace dray::model
