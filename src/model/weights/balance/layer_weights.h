// The weights of one layer as far as balance asks of them: how large the channels are that they make and
// read. Sizes are root mean squares, up to a factor that is the same for all channels of a matrix.
#pragma once

#include <array>
#include <cstdint>
#include <span>
#include <vector>

#include "kernels/packer.h"
#include "model/weights/balance/channel_sizes.h"
#include "model/weights/load_plan.h"

namespace dray::model {

using Sizes = std::vector<double>;

// [channel]: the square roots.
Sizes Roots(Sizes squares);
// [channel]: ones, for channels of which nothing is known.
Sizes Ones(int64_t count);

// A matrix and what was measured of it.
struct MeasuredMatrix {
  Slot slot{};
  Sizes input_sizes;  // [cols]
  SlotSquares squares;
};

class LayerWeights {
 public:
  // Of `layer`, or of kNoLayer. All arguments must outlive the object.
  LayerWeights(const ModelConfig& config, const LoadPlan& plan, int64_t layer,
               kernels::Packer& packer);

  bool Has(Slot slot) const { return Planned(slot) != nullptr; }
  // Asks the kernel to read these matrices from the disk soon, as far as the model has them.
  void Prefetch(std::span<const Slot> slots) const;
  // The result is not measured if the model has no such matrix, or if a part is stored as integers.
  MeasuredMatrix Measure(Slot slot, const Sizes& input_sizes) const;
  // The sizes of a norm's outputs: what the norm multiplies has a mean square of one. Ones if the model
  // has no such norm, or if the norm has no weights.
  Sizes NormSizes(Slot weight, Slot bias) const;
  // Adds the squares of a vector's elements from `begin` on. Adds nothing if the model has no such vector.
  void AddSquares(Slot slot, int64_t begin, Sizes& squares) const;
  // The squares of outputs [begin, begin + count) of a matrix, and of their biases.
  Sizes OutputSquares(const MeasuredMatrix& matrix, Slot bias, int64_t begin, int64_t count) const;

 private:
  const PlannedSlot* Planned(Slot slot) const { return planned_[static_cast<size_t>(slot)]; }

  const ModelConfig& config_;
  kernels::Packer& packer_;
  std::array<const PlannedSlot*, kNumSlots> planned_{};  // [slot]; null: the model has no such slot
};

}  // namespace dray::model
