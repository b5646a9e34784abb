// Fills a model's weights from a checkpoint. Every byte is read once and packed into the kernels'
// form; then its pages are given back. So the peak of memory is the packed weights plus one piece
// of a tensor.
#pragma once

#include <cstdint>
#include <functional>
#include <optional>
#include <stop_token>

#include "base/status.h"
#include "checkpoint/checkpoint.h"
#include "kernels/backend.h"
#include "model/describe/model_description.h"
#include "model/weights/load_plan.h"
#include "model/weights/weights.h"

namespace dray::model {

class Balance;  // balance/balance.h

// What is done with weights that the checkpoint stores as integers.
enum class StoredIntegers : uint8_t {
  kKeep,     // not rounded again if a form of the kernels can keep them
  kConvert,  // kept only if they have the format that was asked for
};

struct LoadOptions {
  // How matrices are stored.
  kernels::WeightForm format;
  // The form of matrices outside of the layers. If absent, it is `format`; if integers of the
  // checkpoint are kept, it is the format of the checkpoint's floats.
  std::optional<kernels::WeightForm> table_format = std::nullopt;
  StoredIntegers integers = StoredIntegers::kConvert;
  // Called as loading goes on, with the bytes of the checkpoint's tensors done and their total.
  std::function<void(uint64_t done_bytes, uint64_t total_bytes)> progress = nullptr;
  // Ends loading with kCancelled.
  std::stop_token stop = {};
  // The factors of neighbouring matrices; null: weights stay as they are in the checkpoint.
  Balance* balance = nullptr;
  // Whose part of each weight is loaded, and the stage whose weights are loaded. Its first layer is
  // layer 0 of the result.
  parallel::Rank rank = {};
  parallel::Stage stage = {};
  // Called before each slot of a checkpoint is loaded; null: not.
  std::function<void()> before_slot = nullptr;
  // Takes each weight as soon as it is filled; the result then has none of them. Null: not.
  std::function<Status(const WeightPlace& place, const Weight& weight)> take = nullptr;

  // kCancelled once `stop` asks to end.
  Status CheckStop() const {
    return stop.stop_requested() ? Status(StatusCode::kCancelled, "loading it was stopped")
                                 : OkStatus();
  }
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
