// Fills a model's weights from a checkpoint: every byte is read once, packed into the kernels'
// form, and its pages are given back, so that peak memory is the packed weights plus one piece of a
// tensor.
#pragma once

#include <cstdint>
#include <functional>

#include "base/status.h"
#include "checkpoint/checkpoint.h"
#include "kernels/backend.h"
#include "model/load_plan.h"
#include "model/model_config.h"
#include "model/weights.h"

namespace dray::model {

// What becomes of weights that the checkpoint holds as integers.
enum class StoredIntegers : uint8_t {
  kKeep,     // they are not rounded again where a form of the kernels holds them
  kConvert,  // they are kept only where that is the format that was asked for
};

struct LoadOptions {
  // How matrices are stored.
  kernels::WeightFormat format = kernels::WeightFormat::kF32;
  StoredIntegers integers = StoredIntegers::kConvert;
  // Called as loading goes on, with the bytes of the checkpoint's tensors done and their total.
  std::function<void(uint64_t done_bytes, uint64_t total_bytes)> progress = nullptr;
};

// Loads what `plan` lists; `checkpoint` is the one that it was made from.
Result<Weights> LoadWeights(const ModelDescription& model, const LoadPlan& plan,
                            const checkpoint::Checkpoint& checkpoint, kernels::Backend& backend,
                            const LoadOptions& options);

}  // namespace dray::model
