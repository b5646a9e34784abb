// Fills a model's weights from a checkpoint: every byte is read once, packed into the kernels'
// form, and its pages are given back, so that peak memory is the packed weights plus one piece of a
// tensor.
#pragma once

#include <cstdint>
#include <functional>

#include "base/status.h"
#include "checkpoint/checkpoint.h"
#include "kernels/backend.h"
#include "model/model_config.h"
#include "model/packed_weights.h"
#include "model/weights.h"

namespace dray::model {

// What becomes of weights that the checkpoint holds as packed integers.
enum class PackedWeights : uint8_t {
  kKeep,     // they are not rounded again where a form of the kernels holds them
  kConvert,  // they are kept only where that is the format that was asked for
};

struct LoadOptions {
  // How matrices are stored.
  kernels::WeightFormat format = kernels::WeightFormat::kF32;
  PackedWeights packed = PackedWeights::kConvert;
  // Called as loading goes on, with the bytes of the checkpoint's tensors done and their total.
  std::function<void(uint64_t done_bytes, uint64_t total_bytes)> progress = nullptr;
};

// One tensor of a checkpoint and its place: a row of the family's table for one layer. For a packed
// layer, `source` is its qweight.
struct PlannedTensor {
  const WeightRow* row = nullptr;
  int64_t layer = kNoLayer;
  const checkpoint::TensorSource* source = nullptr;
  PackedTensor packed = nullptr;

  // Weights that it holds, and the bytes of the file that hold them.
  int64_t elements() const;
  uint64_t stored_bytes() const;
};

// Finds every tensor that the family's table wants, under any of the family's prefixes, and checks
// formats and shapes. Refuses, naming the tensor: absent ones, wrong shapes, formats that are no
// weights.
Result<std::vector<PlannedTensor>> PlanTensors(const ModelDescription& model,
                                               const checkpoint::Checkpoint& checkpoint);

// The backend's best format for what most numbers of the planned matrices are; of those in blocks,
// the nearest.
kernels::WeightFormat AutomaticFormat(const std::vector<PlannedTensor>& plan,
                                      const kernels::Backend& backend);

// Loads what `plan` lists; `checkpoint` is the one that it was made from.
Result<Weights> LoadWeights(const ModelDescription& model, const std::vector<PlannedTensor>& plan,
                            const checkpoint::Checkpoint& checkpoint, kernels::Backend& backend,
                            const LoadOptions& options);

}  // namespace dray::model
