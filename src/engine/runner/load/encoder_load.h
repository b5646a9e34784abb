// Loads the encoder of an encoder-decoder. To the loader, the encoder is a model by itself
// (model::EncoderOf), whose weights are in the files of the whole model.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <string>

#include "base/status.h"
#include "checkpoint/checkpoint.h"
#include "engine/engine_options.h"
#include "engine/runner/load/weight_balance.h"
#include "engine/runner/loaded_model.h"
#include "model/describe/model_description.h"
#include "model/weights/load_plan.h"
#include "model/weights/loader.h"

namespace dray::engine {

class EncoderLoad {
 public:
  // Finds the encoder's tensors. Null if the model has no encoder. The checkpoint must outlive the
  // result. Errors are as those of model::PlanTensors.
  static Result<std::unique_ptr<EncoderLoad>> Make(const model::ModelDescription& model,
                                                   const checkpoint::Checkpoint& checkpoint);

  // Decides how the weights are balanced; call this before Fill. `load` are the options with which the
  // decoder is loaded.
  Status PrepareBalance(const LoadModelOptions& options, const model::LoadOptions& load);
  // Fills rank.encoder. `of_rank` are the options of the rank's decoder, whose plan is `decoder` and
  // which is loaded afterwards.
  // Threads: any thread may call it, for different ranks.
  Status Fill(RankModel& rank, const model::LoadOptions& of_rank,
              const model::LoadPlan& decoder) const;
  // The options with which the decoder is loaded afterwards: its progress is that of the whole model.
  model::LoadOptions OptionsBehind(const model::LoadOptions& of_rank) const;
  // Balance::Warning of the encoder.
  std::optional<std::string> Warning() const { return balance_->balance->Warning(); }

 private:
  EncoderLoad(model::ModelDescription description, const checkpoint::Checkpoint& checkpoint)
      : description_(std::move(description)), checkpoint_(checkpoint) {}

  const model::ModelDescription description_;
  const checkpoint::Checkpoint& checkpoint_;
  model::LoadPlan plan_;  // points to rows of description_
  std::unique_ptr<WeightBalance> balance_;
};

}  // namespace dray::engine
