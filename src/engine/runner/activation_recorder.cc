#include "engine/runner/activation_recorder.h"

#include <algorithm>
#include <cmath>

#include "base/check.h"

namespace dray::engine {

// The inputs are normalised once more for it if the call does.
void ActivationRecorder::Record(const kernels::LinearArgs& args) {
  const auto found = watched_.find(args.weight);
  if (found == watched_.end()) return;
  const std::span<float> peaks = found->second;
  const int64_t cols = args.weight->cols();
  DRAY_CHECK(static_cast<int64_t>(peaks.size()) == cols);
  const float* x = args.x;
  int64_t x_stride = args.x_stride;
  if (args.norm != nullptr) {
    normed_.resize(static_cast<size_t>(args.rows * cols));
    inner_->Norm({.norm = *args.norm,
                  .x = x,
                  .x_stride = x_stride,
                  .out = normed_.data(),
                  .out_stride = cols,
                  .rows = args.rows,
                  .cols = cols});
    x = normed_.data();
    x_stride = cols;
  }
  for (int64_t r = 0; r < args.rows; ++r) {
    for (int64_t c = 0; c < cols; ++c) {
      float& peak = peaks[static_cast<size_t>(c)];
      peak = std::max(peak, std::abs(x[r * x_stride + c]));
    }
  }
}

void ActivationRecorder::Linear(const kernels::LinearArgs& args) {
  Record(args);
  inner_->Linear(args);
}

void ActivationRecorder::QkvLinear(const kernels::LinearArgs& linear,
                                   const kernels::RopeAndCacheArgs& heads) {
  Record(linear);
  inner_->QkvLinear(linear, heads);
}

}  // namespace dray::engine
