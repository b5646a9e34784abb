// A model's weights on a device, one place for each slot of the family's table: those of a stack of
// blocks are a set of their own. And the one function that visits them.
#pragma once

#include <array>
#include <cstdint>
#include <functional>
#include <vector>

#include "kernels/weight_matrix.h"
#include "model/families/family_spec.h"
#include "tensor/tensor.h"

namespace dray::model {

// True for slots that are a [rows, cols] matrix in the backend's packed form; the others
// are f32 vectors.
bool IsMatrixSlot(Slot slot);
// "qkv", "ffn_out_bias", ...: for people.
std::string_view Name(Slot slot);

// Where a weight is in a model. `layer` is kNoLayer for slots before kFirstLayerSlot.
struct WeightPlace {
  ModelPart part = ModelPart::kMain;
  Slot slot{};
  int64_t layer = kNoLayer;
};

// A slot's weight: a matrix, a vector, or neither.
struct Weight {
  kernels::WeightMatrix matrix;
  Tensor vector;
};

// The weights of one stack: slots from kFirstStackSlot on.
class StackWeights {
 public:
  explicit StackWeights(int64_t num_layers) : layers_(static_cast<size_t>(num_layers)) {}

  int64_t num_layers() const { return static_cast<int64_t>(layers_.size()); }
  // Null if the stack has no such weight. `layer` is kNoLayer for slots before kFirstLayerSlot.
  const kernels::WeightMatrix* Matrix(Slot slot, int64_t layer = kNoLayer) const;
  const float* Vector(Slot slot, int64_t layer = kNoLayer) const;

  const Weight& At(Slot slot, int64_t layer) const;
  Weight& At(Slot slot, int64_t layer);

 private:
  static constexpr size_t kNumOnce =
      static_cast<size_t>(kFirstLayerSlot) - static_cast<size_t>(kFirstStackSlot);
  static constexpr size_t kNumPerLayer = kNumSlots - static_cast<size_t>(kFirstLayerSlot);

  std::array<Weight, kNumOnce> once_;
  std::vector<std::array<Weight, kNumPerLayer>> layers_;
};

// The weights of a model: the tables at its ends, and those of its stack.
class Weights {
 public:
  explicit Weights(int64_t num_layers) : stack_(num_layers) {}

  const StackWeights& stack() const { return stack_; }
  // Of any slot, the model's or its stack's. Null if the model has no such weight. `layer` is
  // kNoLayer for slots before kFirstLayerSlot.
  const kernels::WeightMatrix* Matrix(Slot slot, int64_t layer = kNoLayer) const;
  const float* Vector(Slot slot, int64_t layer = kNoLayer) const;

  void SetMatrix(Slot slot, int64_t layer, kernels::WeightMatrix matrix);
  void SetVector(Slot slot, int64_t layer, Tensor vector);

  // Calls visit(slot, layer, elements, bytes) for every weight that is set, in the table's order.
  void ForEach(const std::function<void(Slot, int64_t, int64_t, size_t)>& visit) const;
  // Numbers of the model, tied ones counted once, and the bytes that hold them.
  int64_t num_parameters() const;
  size_t size_bytes() const;

 private:
  const Weight& At(Slot slot, int64_t layer) const;
  Weight& At(Slot slot, int64_t layer);

  std::array<Weight, static_cast<size_t>(kFirstStackSlot)> ends_;
  StackWeights stack_;
};

}  // namespace dray::model
