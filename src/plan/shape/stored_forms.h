// The forms in which a checkpoint stores the matrices of a decoder, as the loader keeps them where no
// dtype is asked for. Only headers of files are read.
#pragma once

#include <map>
#include <memory>
#include <utility>

#include "base/status.h"
#include "kernels/backend.h"
#include "model/describe/model_files.h"
#include "model/weights/load_plan.h"
#include "model/weights/slot_slices.h"

namespace dray::plan {

class StoredForms {
 public:
  // Fails as model::PlanTensors does.
  static Result<std::unique_ptr<StoredForms>> Make(model::ModelFiles files);

  StoredForms(const StoredForms&) = delete;
  StoredForms& operator=(const StoredForms&) = delete;

  const model::ModelDescription& description() const { return files_.description; }
  // Of what most numbers are.
  kernels::WeightFormat format() const { return format_; }
  uint64_t checkpoint_bytes() const { return files_.checkpoint.total_bytes(); }
  // The form of a rank's part of a slot. `layer` is one of the whole model, kNoLayer for slots
  // before kFirstLayerSlot.
  kernels::WeightForm FormOf(model::Slot slot, int64_t layer,
                             const model::SlotSlices& slices) const;

 private:
  explicit StoredForms(model::ModelFiles files) : files_(std::move(files)) {}

  model::ModelFiles files_;
  model::LoadPlan plan_;  // points into files_
  std::map<std::pair<model::Slot, int64_t>, const model::PlannedSlot*> slots_;
  std::unique_ptr<kernels::Backend> backend_;  // says which formats suit it
  kernels::WeightFormat format_{};
};

}  // namespace dray::plan
