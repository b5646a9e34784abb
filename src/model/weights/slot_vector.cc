#include "model/weights/slot_vector.h"

#include <cstddef>

#include "model/weights/row_runs.h"
#include "model/weights/sliced_rows.h"

namespace dray::model {

std::vector<float> GatherSlot(const PlannedSlot& slot, const ModelConfig& config,
                              const SlotSlices& slices) {
  std::vector<float> vector(static_cast<size_t>(slices.rows.local_size));
  for (const PlannedTensor& part : slot.parts) {
    const std::vector<float> whole = GatherVector(*part.source);
    for (const RowRun& run : RowRuns(*part.row, config, slices.rows)) {
      for (int64_t i = 0; i < run.count; ++i) {
        const int64_t row = run.source_row + i * run.source_step;
        vector[static_cast<size_t>(run.slot_row + i)] = whole[static_cast<size_t>(row)];
      }
    }
  }
  return vector;
}

}  // namespace dray::model
