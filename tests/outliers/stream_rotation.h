// An orthogonal transform of a model's residual stream.
#pragma once

#include <cstdint>
#include <span>

#include "base/status.h"
#include "outliers/float_model.h"

namespace dray::testing {

// Makes the first channel of `channels` the direction in which the rows of the token table are
// largest together, the second channel the largest direction that is orthogonal to the first, and so
// on. The other channels change by reflections. First the weights of all norms are multiplied into
// the matrices behind them, since a norm whose weights are 1 commutes with orthogonal transforms. Layer
// norms subtract the mean, so for them the transform keeps the direction of the mean, and a channel
// becomes as large as that allows. The model gets a head of its own.
//
// kInvalidArgument if a norm with biases has a weight of zero.
Status RotateStream(FloatModel& model, std::span<const int64_t> channels);

}  // namespace dray::testing
