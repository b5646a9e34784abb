#include "plan/shape/model_shape.h"

#include <algorithm>
#include <limits>

namespace dray::plan {

int64_t ShapeFacts::max_stages() const {
  int64_t most = std::numeric_limits<int64_t>::max();
  for (const StreamShape& stream : streams) most = std::min(most, stream.num_layers);
  return most;
}

}  // namespace dray::plan
