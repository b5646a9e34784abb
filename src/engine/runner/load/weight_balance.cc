#include "engine/runner/load/weight_balance.h"

namespace dray::engine {

Result<std::unique_ptr<WeightBalance>> MakeBalance(const LoadModelOptions& options,
                                                   const model::ModelDescription& description,
                                                   const model::LoadPlan& plan,
                                                   const model::LoadOptions& load) {
  auto made = std::make_unique<WeightBalance>();
  model::BalanceOptions balance = {.int8_cache = options.int8_cache};
  if (!plan.has_integers || load.integers == model::StoredIntegers::kConvert) {
    balance.layers = load.format;
    balance.tables = load.TableFormat();
  }
  if (options.smoothing) {
    DRAY_ASSIGN_OR_RETURN(
        made->calibration,
        model::ReadCalibration(options.smoothing->calibration_file, description.config));
    balance.calibration = &*made->calibration;
    balance.alpha = options.smoothing->alpha;
  }
  DRAY_ASSIGN_OR_RETURN(made->balance, model::Balance::Make(description, plan, balance));
  return made;
}

}  // namespace dray::engine
