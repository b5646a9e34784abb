// SmoothQuant (Xiao et al. 2022): activations whose channels differ much in range lose little in 8
// bits if the range is moved to the weights beforehand. Where the input of a linear layer is the
// output of a norm, channel j of the norm is divided by
//
//   s_j = max|X_j|^alpha / max|W_j|^(1 - alpha)
//
// and column j of the weights is multiplied by it. X are the activations of a calibration, and W
// are all matrices that read the norm. s_j is rounded to a power of two, so in float formats only
// exponents change. All linear layers of the model's layers get one scale for the integers that
// represent their inputs: a 127th of the largest input of the calibration.
//
// Nothing is moved if the norm has no weights, or if its output is also the residual stream (norms
// after the sum, and BLOOM's residual of the norm's output).
#pragma once

#include <array>
#include <cstdint>
#include <span>
#include <vector>

#include "base/status.h"
#include "kernels/packer.h"
#include "model/weights/calibration.h"
#include "model/weights/load_plan.h"

namespace dray::model {

class Smoothing {
 public:
  // Reads all matrices that follow a norm, once. `alpha` is from 0 to 1. Refuses, naming a tensor,
  // checkpoints that hold integers.
  static Result<Smoothing> Make(const ModelDescription& model, const LoadPlan& plan,
                                const Calibration& calibration, double alpha);

  // What columns of the slot's matrix are multiplied by: [cols]; empty: nothing.
  std::span<const float> ColumnFactors(Slot slot, int64_t layer) const;
  // The step of the slot's inputs; 0: each row finds its own.
  float InputScale(Slot slot, int64_t layer) const;
  // Divides a norm's weight or bias; leaves other vectors alone.
  void DivideNorm(Slot slot, int64_t layer, std::span<float> vector) const;

 private:
  struct Layer {
    // By the norm before it: attention's, feed-forward's; empty: nothing is moved.
    std::array<std::vector<float>, 2> factors;
    std::array<float, kCalibratedSlots.size()> input_scales{};
  };

  Smoothing(const StackConfig& stack, std::vector<Layer> layers)
      : residual_(stack.residual), layers_(std::move(layers)) {}

  ResidualForm residual_;
  std::vector<Layer> layers_;
};

// `rows` with column c multiplied by factors[c], as f32 in `buffer`, in the order of its storage.
kernels::SourceRows MultiplyColumns(const kernels::SourceRows& rows, std::span<const float> factors,
                                    std::vector<float>& buffer);

}  // namespace dray::model
