#include "engine/runner/load/encoder_load.h"

#include <functional>
#include <utility>

namespace dray::engine {
namespace {

using Progress = std::function<void(uint64_t done_bytes, uint64_t total_bytes)>;

uint64_t BytesOf(const model::LoadPlan& plan) {
  uint64_t bytes = 0;
  for (const model::PlannedSlot& slot : plan.slots) {
    for (const model::PlannedTensor& part : slot.parts) bytes += part.stored_bytes();
  }
  return bytes;
}

// The progress of a part of a load, as that of the whole: so many bytes are loaded before the part, and
// so many behind it.
Progress OfPart(const Progress& whole, uint64_t before, uint64_t behind) {
  if (whole == nullptr) return nullptr;
  return [whole, before, behind](uint64_t done, uint64_t total) {
    whole(before + done, before + total + behind);
  };
}

}  // namespace

Result<std::unique_ptr<EncoderLoad>> EncoderLoad::Make(const model::ModelDescription& model,
                                                       const checkpoint::Checkpoint& checkpoint) {
  if (!model.config.encoder) return std::unique_ptr<EncoderLoad>();
  std::unique_ptr<EncoderLoad> load(new EncoderLoad(EncoderOf(model), checkpoint));
  DRAY_ASSIGN_OR_RETURN(load->plan_, model::PlanTensors(load->description_, checkpoint));
  return load;
}

Status EncoderLoad::PrepareBalance(const LoadModelOptions& options,
                                   const model::LoadOptions& load) {
  DRAY_ASSIGN_OR_RETURN(balance_, MakeBalance(options, description_, plan_, load));
  return OkStatus();
}

Status EncoderLoad::Fill(RankModel& rank, const model::LoadOptions& of_rank,
                         const model::LoadPlan& decoder) const {
  model::LoadOptions options = of_rank;
  options.balance = balance_->balance.get();
  options.progress = OfPart(of_rank.progress, 0, BytesOf(decoder));
  DRAY_ASSIGN_OR_RETURN(rank.encoder->weights, model::LoadWeights(description_, plan_, checkpoint_,
                                                                  *rank.backend, options));
  return OkStatus();
}

model::LoadOptions EncoderLoad::OptionsBehind(const model::LoadOptions& of_rank) const {
  model::LoadOptions options = of_rank;
  options.progress = OfPart(of_rank.progress, BytesOf(plan_), 0);
  return options;
}

}  // namespace dray::engine
