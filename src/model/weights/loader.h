// Fills a model's weights from a checkpoint: every byte is read once, packed into the kernels'
// form, and its pages are given back, so that peak memory is the packed weights plus one piece
// of a tensor.
#pragma once

#include <cstdint>
#include <functional>
#include <optional>

#include "base/status.h"
#include "checkpoint/checkpoint.h"
#include "kernels/backend.h"
#include "model/describe/model_description.h"
#include "model/weights/load_plan.h"
#include "model/weights/weights.h"

namespace dray::model {

class Smoothing;  // smoothing.h

// What becomes of weights that the checkpoint holds as integers.
enum class StoredIntegers : uint8_t {
  kKeep,     // they are not rounded again where a form of the kernels holds them
  kConvert,  // they are kept only where that is the format that was asked for
};

struct LoadOptions {
  // How matrices are stored.
  kernels::WeightForm format;
  // The same for those outside of the layers; absent: format, or beside integers that are kept the
  // checkpoint's floats.
  std::optional<kernels::WeightForm> table_format = std::nullopt;
  StoredIntegers integers = StoredIntegers::kConvert;
  // Called as loading goes on, with the bytes of the checkpoint's tensors done and their total.
  std::function<void(uint64_t done_bytes, uint64_t total_bytes)> progress = nullptr;
  // Null: none.
  const Smoothing* smoothing = nullptr;
  // Whose part of each weight is loaded.
  parallel::Rank rank = {};

  const kernels::WeightForm& TableFormat() const { return table_format ? *table_format : format; }
  const kernels::WeightForm& FormatOf(Slot slot) const {
    return slot < kFirstLayerSlot ? TableFormat() : format;
  }
};

// Loads what `plan` lists; `checkpoint` is the one that it was made from.
Result<Weights> LoadWeights(const ModelDescription& model, const LoadPlan& plan,
                            const checkpoint::Checkpoint& checkpoint, kernels::Backend& backend,
                            const LoadOptions& options);

}  // namespace dray::model
