// What of a layer is balanced (channel_factors.h says how), and by which factors. Balanced are, as far as
// dividing them changes no result:
//
//   norms           whose output only linear layers read
//   values          with the output projection behind attention; query heads that share a value head
//                   share its factors
//   feed-forward    if it is gated, or its activation is ReLU: for d > 0, ReLU(x / d) = ReLU(x) / d
//   keys, queries   dimensions that are rotated together have one factor
//   the final norm  if the head is not the token table, whose rows are also looked up
//
// A pair of which any matrix is stored as integers is left as it is.
#pragma once

#include <array>
#include <cstdint>
#include <vector>

#include "kernels/packer.h"
#include "model/weights/balance/channel_factors.h"
#include "model/weights/calibration.h"
#include "model/weights/load_plan.h"

namespace dray::model {

// What the weights of a slot are multiplied by: powers of two, for the whole slot. Empty: by one.
struct SlotFactors {
  std::vector<float> rows;     // of a matrix; or the elements of a vector
  std::vector<float> columns;  // of a matrix
  float input_scale = 0;       // MatrixSpec::input_scale
};

// A matrix in integers whose inputs have uneven channels, because they could not be balanced.
struct UnevenInput {
  int64_t layer = kNoLayer;
  Slot slot{};
  UnevenChannels channels;
};

struct LayerFactors {
  std::array<SlotFactors, kNumSlots> slots;  // [slot]
  std::vector<UnevenInput> uneven;
};

struct BalanceOptions {
  // The forms in which matrices in floats are stored: those of the layers, and the tables.
  kernels::WeightForm layers = {};
  kernels::WeightForm tables = {};
  // Whether keys and values are kept in 8 bits. They are balanced then whatever `layers` is.
  bool int8_cache = false;
  // SmoothQuant (Xiao et al. 2022): the sizes of the layers' channels are the largest magnitudes that were
  // measured on some text, `alpha` says how much of their range moves to the weights, and the inputs of
  // each matrix have one step, a 127th of their largest magnitude. Weights in floats are balanced too.
  // Null: sizes are found from the weights.
  const Calibration* calibration = nullptr;
  double alpha = 0.5;
};

struct BalanceContext {
  const ModelConfig& config;
  const LoadPlan& plan;
  BalanceOptions options;
};

// The factors of a layer, or of kNoLayer. Reads the matrices that need it once, whole.
LayerFactors BalanceLayer(const BalanceContext& context, int64_t layer, kernels::Packer& packer);

}  // namespace dray::model
