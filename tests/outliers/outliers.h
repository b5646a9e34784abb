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
  // The inputs of mlp.down_proj: rows of mlp.up_proj are multiplied, columns of mlp.down_proj divided.
  kFeedForward,
  // Values and outputs of attention: rows of v_proj are multiplied, columns of o_proj divided.
  kValues,
  // Keys and queries: rows of k_proj are multiplied, rows of q_proj divided, for both dimensions of
  // pairs that are rotated together.
  kKeys,
  // The residual stream: the weights of all norms go into the matrices behind them. Then the
  // stream is rotated and reflected so that the directions in which the token table is largest become
  // the channels. The model gets a head of its own. The factor is not used.
  kStream,
  // kStream, then the other kinds.
  kAll,
};

struct Outliers {
  OutlierKind kind = OutlierKind::kNorms;
  float factor = 64;
  int64_t channels = 4;  // of each norm, feed-forward, values, keys (pairs), or of the stream
  uint64_t seed = 1;     // decides which channels
};

// "norms", "ffn", "values", "keys", "stream", "all".
std::string_view Name(OutlierKind kind);
// Every kind, in the order above.
const std::vector<OutlierKind>& AllOutlierKinds();
// kInvalidArgument, naming the kinds, if there is none of this name.
Result<OutlierKind> ParseOutlierKind(std::string_view name);

// kInvalidArgument if the factor is not a positive number, or if a part of the model has fewer
// channels.
Status AddOutliers(FloatModel& model, const Outliers& outliers);

}  // namespace dray::testing
