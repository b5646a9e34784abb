// Rewrites a model so that a few channels are much larger than the others, as they are in large
// language models. In exact arithmetic the model computes the same function as before. With factors
// that are powers of two, float arithmetic computes the same bits too, except where an orthogonal
// transform is applied. So what a number format costs more on the new model than on the old one, it
// costs because of the large channels.
#pragma once

#include <cstdint>
#include <string_view>
#include <vector>

#include "base/status.h"
#include "outliers/float_model.h"

namespace dray::testing {

enum class OutlierKind {
  // The outputs of norms: the channels' norm weights are multiplied by the factor, and the columns
  // of the matrices behind the norm are divided. The final norm takes part if the model has a head of
  // its own; the token table cannot be both divided and left as it is.
  kNorms,
  // The inside of feed-forward: rows of the up projection are multiplied, columns of the down
  // projection divided. Only if the layer is gated, or its activation is ReLU.
  kFeedForward,
  // Values and outputs of attention: rows of the value projection are multiplied, columns of the
  // output projection divided.
  kValues,
  // Keys and queries: rows of the key projection are multiplied, rows of the query projection
  // divided, for both dimensions of pairs that are rotated together.
  kKeys,
  // The residual stream: the weights of all norms go into the matrices behind them. Then the
  // stream is reflected so that the directions in which the token table is largest become the
  // channels. The model gets a head of its own. The factor is not used. Not if the token table is
  // followed by a norm (BLOOM).
  kStream,
  // kStream, then the other kinds, as far as the model has them.
  kAll,
};

struct Outliers {
  OutlierKind kind = OutlierKind::kNorms;
  float factor = 64;
  int64_t channels = 4;  // of each norm, feed-forward, values, keys (pairs), or the stream
  uint64_t seed = 1;     // decides which channels
};

// "norms", "ffn", "values", "keys", "stream", "all".
std::string_view Name(OutlierKind kind);
// Every kind, in the order above.
const std::vector<OutlierKind>& AllOutlierKinds();
// kInvalidArgument, naming the kinds, if there is none of this name.
Result<OutlierKind> ParseOutlierKind(std::string_view name);

// Whether outliers of this kind can be added.
bool HasOutliers(const FloatModel& model, OutlierKind kind);

// kInvalidArgument if the factor is not a positive number, a part of the model has fewer channels, or
// outliers of this kind cannot be added.
Status AddOutliers(FloatModel& model, const Outliers& outliers);

}  // namespace dray::testing
