#include "engine/runner/activation_recorder.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>

#include "base/check.h"

namespace dray::engine {

void RecordingOps::Linear(const kernels::LinearArgs& args) {
  Record(args);
  inner_.Linear(args);
}

void RecordingOps::QkvLinear(const kernels::LinearArgs& linear,
                             const kernels::RopeAndCacheArgs& heads) {
  Record(linear);
  inner_.QkvLinear(linear, heads);
}

void RecordingOps::Record(const kernels::LinearArgs& args) {
  const auto found = watched_.find(args.weight);
  if (found == watched_.end() || args.rows == 0) return;
  const Status status = Measure(args, found->second);
  if (failure_.ok()) failure_ = status;
}

Status RecordingOps::Measure(const kernels::LinearArgs& args, std::span<float> peaks) {
  if (args.x.dtype != DType::kF32) {
    return {StatusCode::kUnsupported,
            fmt::format("calibration reads activations in f32, but they are {}: calibrate on a "
                        "backend that computes in f32",
                        Name(args.x.dtype))};
  }
  const int64_t cols = args.weight->cols();
  DRAY_CHECK(static_cast<int64_t>(peaks.size()) == cols);
  DRAY_ASSIGN_OR_RETURN(const kernels::ConstActivations x, InputsOf(args));
  rows_.resize(static_cast<size_t>((args.rows - 1) * x.stride + cols));
  DRAY_RETURN_IF_ERROR(memory_.CopyToHost(rows_.data(), x.data, rows_.size() * sizeof(float)));
  for (int64_t r = 0; r < args.rows; ++r) {
    for (int64_t c = 0; c < cols; ++c) {
      float& peak = peaks[static_cast<size_t>(c)];
      peak = std::max(peak, std::abs(rows_[static_cast<size_t>(r * x.stride + c)]));
    }
  }
  return OkStatus();
}

Result<kernels::ConstActivations> RecordingOps::InputsOf(const kernels::LinearArgs& args) {
  if (args.norm == nullptr) return args.x;
  const int64_t cols = args.weight->cols();
  if (normed_.size_bytes() < static_cast<size_t>(args.rows * cols) * sizeof(float)) {
    normed_ = Tensor();
    DRAY_ASSIGN_OR_RETURN(normed_,
                          Tensor::Make(memory_.allocator(), DType::kF32, {args.rows, cols}));
  }
  const kernels::Activations out = {normed_.as<float>(), DType::kF32, cols};
  inner_.Norm({.norm = *args.norm, .x = args.x, .out = out, .rows = args.rows, .cols = cols});
  return kernels::ConstActivations(out);
}

Status ActivationRecorder::EndStep() {
  Status measured = ops_.TakeFailure();
  DRAY_RETURN_IF_ERROR(inner_->EndStep());
  return measured;
}

}  // namespace dray::engine
