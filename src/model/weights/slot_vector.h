// The vectors of a checkpoint, as a rank's slots hold them.
#pragma once

#include <vector>

#include "model/config/model_config.h"
#include "model/weights/load_plan.h"
#include "model/weights/slot_slices.h"

namespace dray::model {

// The rank's elements of a slot that is a vector; padding is zero. `slices` are those of the slot.
std::vector<float> GatherSlot(const PlannedSlot& slot, const ModelConfig& config,
                              const SlotSlices& slices);

}  // namespace dray::model
