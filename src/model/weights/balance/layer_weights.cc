#include "model/weights/balance/layer_weights.h"

#include <cmath>
#include <utility>

#include "model/weights/slot_slices.h"
#include "model/weights/slot_vector.h"

namespace dray::model {

Sizes Roots(Sizes squares) {
  for (double& x : squares) x = std::sqrt(x);
  return squares;
}

Sizes Ones(int64_t count) { return Sizes(static_cast<size_t>(count), 1.0); }

LayerWeights::LayerWeights(const ModelConfig& config, const LoadPlan& plan, int64_t layer,
                           kernels::Packer& packer)
    : config_(config), packer_(packer) {
  for (const PlannedSlot& slot : plan.slots) {
    if (slot.layer == layer) planned_[static_cast<size_t>(slot.slot)] = &slot;
  }
}

void LayerWeights::Prefetch(std::span<const Slot> slots) const {
  for (const Slot slot : slots) {
    if (Has(slot)) PrefetchSlot(*Planned(slot));
  }
}

MeasuredMatrix LayerWeights::Measure(Slot slot, const Sizes& input_sizes) const {
  MeasuredMatrix matrix = {slot, input_sizes, {}};
  if (!Has(slot)) return matrix;
  const std::vector<float> sizes(input_sizes.begin(), input_sizes.end());
  matrix.squares = MeasureSlot(*Planned(slot), config_, sizes, packer_);
  return matrix;
}

Sizes LayerWeights::NormSizes(Slot weight, Slot bias) const {
  if (!Has(weight)) return Ones(config_.stack.hidden);
  Sizes squares(static_cast<size_t>(config_.stack.hidden));
  AddSquares(weight, 0, squares);
  AddSquares(bias, 0, squares);
  return Roots(std::move(squares));
}

void LayerWeights::AddSquares(Slot slot, int64_t begin, Sizes& squares) const {
  if (!Has(slot)) return;
  const PlannedSlot& planned = *Planned(slot);
  const auto vector = GatherSlot(planned, config_, SlicesOf(planned.row(), config_, {}));
  for (size_t i = 0; i < squares.size(); ++i) {
    const auto x = static_cast<double>(vector[static_cast<size_t>(begin) + i]);
    squares[i] += x * x;
  }
}

Sizes LayerWeights::OutputSquares(const MeasuredMatrix& matrix, Slot bias, int64_t begin,
                                  int64_t count) const {
  const auto first = matrix.squares.rows.begin() + begin;
  Sizes squares(first, first + count);
  AddSquares(bias, begin, squares);
  return squares;
}

}  // namespace dray::model
