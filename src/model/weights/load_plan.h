// Which tensors of a checkpoint fill which slots of a model, and in which form the slots are kept.
#pragma once

#include <cstdint>
#include <memory>
#include <vector>

#include "base/status.h"
#include "checkpoint/checkpoint.h"
#include "checkpoint/integers/integer_tensor.h"
#include "kernels/packer.h"
#include "model/describe/model_description.h"
#include "model/weights/slot_slices.h"
#include "model/weights/weights.h"

namespace dray::model {

// One tensor of a checkpoint and its place: a row of the family's table.
struct PlannedTensor {
  const WeightRow* row = nullptr;
  const checkpoint::TensorSource* source = nullptr;
  // A matrix that the checkpoint holds as integers, of whose tensors `source` is the first; null:
  // `source` is a matrix of floats, or a vector.
  std::shared_ptr<const checkpoint::IntegerTensor> integers = nullptr;

  // Weights that it holds, and the bytes of the file that hold them.
  int64_t elements() const;
  uint64_t stored_bytes() const;
};

// A weight of the model and the tensors that fill it together.
struct PlannedSlot {
  Slot slot{};
  int64_t layer = kNoLayer;
  std::vector<PlannedTensor> parts;

  // The row of the family's table that its first part goes to, which says its sizes.
  const WeightRow& row() const { return *parts.front().row; }
};

struct LoadPlan {
  std::vector<PlannedSlot> slots;
  bool has_integers = false;  // whether any part is stored as integers
};

// Finds every tensor of the family's table, with any of the family's prefixes, and checks formats
// and shapes. Refuses absent tensors, wrong shapes, formats that are not for weights, and
// checkpoints whose integers are not the whole layer (some AWQ files divide an activation
// function's result by "act.scales"); the error names the tensor.
Result<LoadPlan> PlanTensors(const ModelDescription& model,
                             const checkpoint::Checkpoint& checkpoint);

// The packer's best format for what most numbers of the planned matrices are.
kernels::WeightFormat AutomaticFormat(const LoadPlan& plan, const kernels::Packer& packer);

// The form of `rows` rows of a slot, all of whose parts are integers, that is nearest to those of the
// parts: their bits, the smallest of their groups, zero points if any part has them; int8 rows if
// their bits differ.
kernels::MatrixSpec JoinedForm(const PlannedSlot& slot, int64_t rows);

}  // namespace dray::model
