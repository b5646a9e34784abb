// A decoder's weights on a device, one place for each slot of the family's table, and the one
// function that visits them.
#pragma once

#include <array>
#include <cstdint>
#include <functional>
#include <vector>

#include "kernels/backend.h"
#include "model/families/family_spec.h"
#include "tensor/tensor.h"

namespace dray::model {

// True for slots that are a [rows, cols] matrix in the backend's packed form; the others
// are f32 vectors.
bool IsMatrixSlot(Slot slot);
// "qkv", "ffn_out_bias", ...: for people.
std::string_view Name(Slot slot);

class Weights {
 public:
  explicit Weights(int64_t num_layers) : layers_(static_cast<size_t>(num_layers)) {}

  // Null if the model has no such weight. `layer` is kNoLayer for slots before kFirstLayerSlot.
  const kernels::WeightMatrix* Matrix(Slot slot, int64_t layer = kNoLayer) const;
  const float* Vector(Slot slot, int64_t layer = kNoLayer) const;

  void SetMatrix(Slot slot, int64_t layer, kernels::WeightMatrix matrix);
  void SetVector(Slot slot, int64_t layer, Tensor vector);
  kernels::WeightMatrix* MutableMatrix(Slot slot, int64_t layer);

  // Calls visit(slot, layer, elements, bytes) for every weight that is set, in the table's order.
  void ForEach(const std::function<void(Slot, int64_t, int64_t, size_t)>& visit) const;
  // Numbers of the model, tied ones counted once, and the bytes that hold them.
  int64_t num_parameters() const;
  size_t size_bytes() const;

 private:
  struct Entry {
    kernels::WeightMatrix matrix;
    Tensor vector;
  };
  using Entries = std::array<Entry, kNumSlots>;
  const Entry& At(Slot slot, int64_t layer) const;

  Entries model_;
  std::vector<Entries> layers_;
};

}  // namespace dray::model
