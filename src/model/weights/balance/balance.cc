#include "model/weights/balance/balance.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <span>
#include <vector>

namespace dray::model {
namespace {

using checkpoint::TensorSource;

// A message names so many matrices, and so many channels of each.
constexpr size_t kMostNamed = 6;

Status RefuseIntegers(const LoadPlan& plan) {
  for (const PlannedSlot& slot : plan.slots) {
    for (const PlannedTensor& part : slot.parts) {
      const TensorSource& source = *part.source;
      if (part.integers == nullptr && source.blocks == nullptr) continue;
      return {StatusCode::kUnsupported,
              fmt::format("{}: tensor {} is stored as {}, but smoothquant needs weights in floats",
                          source.file->path().string(), source.name, source.StorageName())};
    }
  }
  return OkStatus();
}

// Slots outside of the layers that BalanceLayer may give factors.
bool IsBalanced(Slot slot) {
  return slot == Slot::kFinalNormWeight || slot == Slot::kFinalNormBias || slot == Slot::kHead ||
         slot == Slot::kProjectOut;
}

std::string Describe(const UnevenInput& input) {
  const std::vector<int64_t>& channels = input.channels.channels;
  const auto named = std::span(channels).first(std::min(channels.size(), kMostNamed));
  return fmt::format("{}{} (channels {}{}: {:.0f} times)",
                     input.layer == kNoLayer ? "" : fmt::format("layer {} ", input.layer),
                     Name(input.slot), fmt::join(named, ", "),
                     named.size() < channels.size() ? ", ..." : "", input.channels.ratio);
}

}  // namespace

Balance::Balance(const ModelDescription& model, const LoadPlan& plan, const BalanceOptions& options)
    : context_{model.config, plan, options},
      num_layers_(model.config.stack.num_layers),
      layers_(std::make_unique<Layer[]>(static_cast<size_t>(num_layers_ + 1))) {}

Result<std::unique_ptr<Balance>> Balance::Make(const ModelDescription& model, const LoadPlan& plan,
                                               const BalanceOptions& options) {
  if (options.calibration != nullptr) DRAY_RETURN_IF_ERROR(RefuseIntegers(plan));
  return std::unique_ptr<Balance>(new Balance(model, plan, options));
}

const SlotFactors& Balance::Of(Slot slot, int64_t layer, kernels::Packer& packer) {
  if (layer == kNoLayer && !IsBalanced(slot)) {
    // Not read here: a stage of a pipeline may have none of the matrices behind the final norm.
    static const SlotFactors kNone;
    return kNone;
  }
  Layer& of = layers_[static_cast<size_t>(layer + 1)];
  std::call_once(of.once, [&] { of.factors = BalanceLayer(context_, layer, packer); });
  return of.factors.slots[static_cast<size_t>(slot)];
}

std::optional<std::string> Balance::Warning() const {
  std::vector<std::string> inputs;
  size_t count = 0;
  for (int64_t i = 0; i <= num_layers_; ++i) {
    for (const UnevenInput& input : layers_[static_cast<size_t>(i)].factors.uneven) {
      if (count++ < kMostNamed) inputs.push_back(Describe(input));
    }
  }
  if (count == 0) return std::nullopt;
  return fmt::format(
      "{} of the matrices in integers have input channels that are much larger than the others and "
      "could not be balanced: {}{}. Integers hold them badly; compare the answers with those of "
      "--quantize int8_weight_only or a float --dtype",
      count, fmt::join(inputs, "; "), inputs.size() < count ? "; ..." : "");
}

}  // namespace dray::model
