// Random weights in place of a checkpoint's, so that a model can be timed from
// its config.json alone.
#pragma once

#include <cstdint>

#include "base/status.h"
#include "kernels/backend.h"
#include "model/describe/model_description.h"
#include "model/weights/loader.h"
#include "model/weights/weights.h"

namespace dray::model {

// Fills every weight that the model's family wants: matrices with numbers of zero mean and standard
// deviation 0.02, as models are initialised, packed as options.format says; norms' weights with
// one, biases with zero. The same seed gives the same weights, whatever the format and the number
// of threads. options.progress counts packed bytes. Errors: what the backend cannot allocate.
Result<Weights> MakeDummyWeights(const ModelDescription& model, kernels::Backend& backend,
                                 const LoadOptions& options, uint64_t seed);

// The packer's best format for what config.json says the weights are.
kernels::WeightFormat AutomaticFormat(const ModelConfig& config, const kernels::Packer& packer);

}  // namespace dray::model
