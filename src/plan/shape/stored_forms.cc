#include "plan/shape/stored_forms.h"

#include <algorithm>
#include <map>

#include "base/check.h"
#include "kernels/backend.h"
#include "kernels/make_backend.h"
#include "model/weights/fill_columns.h"
#include "model/weights/load_plan.h"

namespace dray::plan {
namespace {

class CheckpointForms final : public StoredForms {
 public:
  CheckpointForms(Facts facts, std::unique_ptr<model::ModelFiles> files, model::LoadPlan plan,
                  std::unique_ptr<kernels::Backend> backend)
      : StoredForms(std::move(facts)),
        files_(std::move(files)),
        plan_(std::move(plan)),
        backend_(std::move(backend)) {
    for (const model::PlannedSlot& slot : plan_.slots) slots_[{slot.slot, slot.layer}] = &slot;
  }

  kernels::WeightForm FormOf(model::Slot slot, int64_t layer,
                             const model::SlotSlices& slices) const override {
    const auto found = slots_.find({slot, layer});
    DRAY_CHECK(found != slots_.end());
    const model::PlannedSlot& planned = *found->second;
    // Floats are kept beside integers in their own format, and have one format where there are no
    // integers.
    const auto floats =
        std::find_if(planned.parts.begin(), planned.parts.end(),
                     [](const model::PlannedTensor& part) { return part.integers == nullptr; });
    if (floats != planned.parts.end()) {
      return plan_.has_integers ? backend_->packer().NativeFormat(floats->source->dtype)
                                : facts().format;
    }
    const kernels::MatrixSpec spec =
        model::RankSpec(JoinedForm(planned, slices.rows.local_size), slices);
    return {spec.format, spec.group, spec.zero, spec.inputs};
  }

 private:
  std::unique_ptr<model::ModelFiles> files_;
  model::LoadPlan plan_;  // points into files_
  std::map<std::pair<model::Slot, int64_t>, const model::PlannedSlot*> slots_;
  std::unique_ptr<kernels::Backend> backend_;  // says which formats suit it
};

}  // namespace

Result<std::unique_ptr<StoredForms>> FormsOfCheckpoint(model::ModelFiles opened) {
  // The plan points to what is in the files, so they must not move.
  auto files = std::make_unique<model::ModelFiles>(std::move(opened));
  DRAY_ASSIGN_OR_RETURN(auto plan, PlanTensors(files->description, files->checkpoint));
  DRAY_ASSIGN_OR_RETURN(auto backend, kernels::MakeBackend({.cpu = {.num_threads = 1}}));
  StoredForms::Facts facts;
  facts.description = files->description;
  facts.format = facts.table_format = AutomaticFormat(plan, backend->packer());
  facts.file_bytes = files->checkpoint.total_bytes();
  std::unique_ptr<StoredForms> forms = std::make_unique<CheckpointForms>(
      std::move(facts), std::move(files), std::move(plan), std::move(backend));
  return forms;
}

}  // namespace dray::plan
