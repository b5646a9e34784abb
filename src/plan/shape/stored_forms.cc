#include "plan/shape/stored_forms.h"

#include <algorithm>

#include "base/check.h"
#include "kernels/make_backend.h"
#include "model/weights/fill_columns.h"

namespace dray::plan {

Result<std::unique_ptr<StoredForms>> StoredForms::Make(model::ModelFiles files) {
  std::unique_ptr<StoredForms> forms(new StoredForms(std::move(files)));
  DRAY_ASSIGN_OR_RETURN(forms->plan_,
                        PlanTensors(forms->files_.description, forms->files_.checkpoint));
  DRAY_ASSIGN_OR_RETURN(forms->backend_, kernels::MakeBackend({.cpu = {.num_threads = 1}}));
  forms->format_ = AutomaticFormat(forms->plan_, forms->backend_->packer());
  for (const model::PlannedSlot& slot : forms->plan_.slots) {
    forms->slots_[{slot.slot, slot.layer}] = &slot;
  }
  return forms;
}

kernels::WeightForm StoredForms::FormOf(model::Slot slot, int64_t layer,
                                        const model::SlotSlices& slices) const {
  const auto found = slots_.find({slot, layer});
  DRAY_CHECK(found != slots_.end());
  const model::PlannedSlot& planned = *found->second;
  // Floats are kept beside integers in their own format, and have one format where there are no
  // integers.
  const auto floats =
      std::find_if(planned.parts.begin(), planned.parts.end(),
                   [](const model::PlannedTensor& part) { return part.integers == nullptr; });
  if (floats != planned.parts.end()) {
    return plan_.has_integers ? backend_->packer().NativeFormat(floats->source->dtype) : format_;
  }
  const kernels::MatrixSpec spec =
      model::RankSpec(JoinedForm(planned, slices.rows.local_size), slices);
  return {spec.format, spec.group, spec.zero, spec.inputs};
}

}  // namespace dray::plan
