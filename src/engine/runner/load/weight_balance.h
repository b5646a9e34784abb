// The balance of a model's weights while they load, with the calibration that it may need.
#pragma once

#include <memory>
#include <optional>

#include "base/status.h"
#include "engine/engine_options.h"
#include "model/describe/model_description.h"
#include "model/weights/balance/balance.h"
#include "model/weights/calibration.h"
#include "model/weights/load_plan.h"
#include "model/weights/loader.h"

namespace dray::engine {

struct WeightBalance {
  std::optional<model::Calibration> calibration;
  std::unique_ptr<model::Balance> balance;
};

// `load` has the forms of the weights. Beside integers of the checkpoint that are kept, floats stay
// floats. `description` and `plan` must outlive the result.
Result<std::unique_ptr<WeightBalance>> MakeBalance(const LoadModelOptions& options,
                                                   const model::ModelDescription& description,
                                                   const model::LoadPlan& plan,
                                                   const model::LoadOptions& load);

}  // namespace dray::engine
