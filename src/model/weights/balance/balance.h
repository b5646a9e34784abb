// Balances a model's weights while they load (layer_balance.h), a layer at a time: the loader asks for a
// slot's factors just before it reads the layer, so that what was read to find them is still in memory.
#pragma once

#include <cstdint>
#include <memory>
#include <mutex>
#include <optional>
#include <string>

#include "base/status.h"
#include "kernels/packer.h"
#include "model/describe/model_description.h"
#include "model/weights/balance/layer_balance.h"
#include "model/weights/load_plan.h"

namespace dray::model {

// Threads: any thread may call any function, each with its own packer.
class Balance {
 public:
  // The model, the plan and the calibration must outlive the result. With a calibration, refuses
  // checkpoints that hold integers, naming a tensor.
  static Result<std::unique_ptr<Balance>> Make(const ModelDescription& model, const LoadPlan& plan,
                                               const BalanceOptions& options);

  // Reads the layer's matrices with the threads of the packer's backend, unless a call has done so
  // before. The result is the same for every rank.
  const SlotFactors& Of(Slot slot, int64_t layer, kernels::Packer& packer);

  // Of the layers for which Of was called: what to tell a user about matrices whose inputs have uneven
  // channels; nothing if there are none.
  std::optional<std::string> Warning() const;

 private:
  struct Layer {
    std::once_flag once;
    LayerFactors factors;
  };

  Balance(const ModelDescription& model, const LoadPlan& plan, const BalanceOptions& options);

  const BalanceContext context_;
  const int64_t num_layers_;
  std::unique_ptr<Layer[]> layers_;  // [layer + 1]: kNoLayer is the first
};

}  // namespace dray::model
