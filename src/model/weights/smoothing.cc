#include "model/weights/smoothing.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <utility>

#include "model/weights/sliced_rows.h"
#include "model/weights/source_rows.h"

namespace dray::model {
namespace {

using checkpoint::TensorSource;
using kernels::SourceRows;

// Which of a layer's two norms a matrix reads, or nothing to smooth: an index of Layer::factors.
constexpr size_t kAttentionNorm = 0;
constexpr size_t kFfnNorm = 1;
constexpr size_t kNoNorm = 2;

size_t NormBefore(Slot slot, ResidualForm residual) {
  if (slot == Slot::kQkv) return kAttentionNorm;
  if (slot != Slot::kFfnIn) return kNoNorm;
  return residual == ResidualForm::kParallelOneNorm ? kAttentionNorm : kFfnNorm;
}

bool FeedsLinearLayersOnly(const StackConfig& stack) {
  return stack.norm_affine && stack.norm_placement == NormPlacement::kPre &&
         !stack.residual_after_norm;
}

// Calls visit(row, col, element) in the order of the storage, which is columns for matrices that a
// checkpoint stores transposed.
template <typename Visit>
void ForEachElement(const SourceRows& rows, const Visit& visit) {
  const auto size = static_cast<int64_t>(SizeOf(rows.dtype));
  const auto* data = static_cast<const std::byte*>(rows.data);
  const bool by_columns = rows.row_stride < rows.col_stride;
  const int64_t outer = by_columns ? rows.cols : rows.rows;
  const int64_t inner = by_columns ? rows.rows : rows.cols;
  const int64_t outer_stride = by_columns ? rows.col_stride : rows.row_stride;
  const int64_t inner_stride = by_columns ? rows.row_stride : rows.col_stride;
  for (int64_t i = 0; i < outer; ++i) {
    for (int64_t j = 0; j < inner; ++j) {
      const float element =
          ReadElement(rows.dtype, data + (i * outer_stride + j * inner_stride) * size);
      by_columns ? visit(j, i, element) : visit(i, j, element);
    }
  }
}

// Raises peaks[c] to the largest magnitude of column c of the planned tensor.
Status RaisePeaks(const PlannedTensor& tensor, std::vector<float>& peaks) {
  const TensorSource& source = *tensor.source;
  if (tensor.integers != nullptr || source.blocks != nullptr) {
    return {StatusCode::kUnsupported,
            fmt::format("{}: tensor {} is stored as {}, but smoothquant needs weights in floats",
                        source.file->path().string(), source.name, source.StorageName())};
  }
  for (const RowSlice& slice : RowSlicesOf(source, tensor.row->transform)) {
    ForEachElement(slice.rows, [&](int64_t, int64_t col, float element) {
      float& peak = peaks[static_cast<size_t>(slice.col + col)];
      peak = std::max(peak, std::abs(element));
    });
  }
  if (source.IsDense()) source.file->Release(source.bytes());
  return OkStatus();
}

// One for channels of which nothing is known.
float Factor(float input_peak, float weight_peak, double alpha) {
  if (!(input_peak > 0) || !(weight_peak > 0)) return 1.0f;
  const double exponent = alpha * std::log2(input_peak) - (1 - alpha) * std::log2(weight_peak);
  return static_cast<float>(std::exp2(std::clamp(std::nearbyint(exponent), -60.0, 60.0)));
}

// The largest input after smoothing, over 127.
float InputStep(std::span<const float> peaks, std::span<const float> factors) {
  float peak = 0;
  for (size_t i = 0; i < peaks.size(); ++i) {
    peak = std::max(peak, factors.empty() ? peaks[i] : peaks[i] / factors[i]);
  }
  return peak / 127.0f;
}

}  // namespace

Result<Smoothing> Smoothing::Make(const ModelDescription& model, const LoadPlan& plan,
                                  const Calibration& calibration, double alpha) {
  const StackConfig& stack = model.config.stack;
  std::vector<Layer> layers(static_cast<size_t>(stack.num_layers));
  if (FeedsLinearLayersOnly(stack)) {
    for (const PlannedSlot& slot : plan.slots) {
      const size_t norm = NormBefore(slot.slot, stack.residual);
      if (norm == kNoNorm) continue;
      // The weights' peaks for now.
      auto& peaks = layers[static_cast<size_t>(slot.layer)].factors[norm];
      peaks.resize(static_cast<size_t>(stack.hidden));
      for (const PlannedTensor& part : slot.parts) DRAY_RETURN_IF_ERROR(RaisePeaks(part, peaks));
    }
  }
  for (int64_t i = 0; i < stack.num_layers; ++i) {
    Layer& layer = layers[static_cast<size_t>(i)];
    for (const size_t norm : {kAttentionNorm, kFfnNorm}) {
      const auto inputs = calibration.Peaks(norm == kAttentionNorm ? Slot::kQkv : Slot::kFfnIn, i);
      auto& factors = layer.factors[norm];
      for (size_t c = 0; c < factors.size(); ++c) {
        factors[c] = Factor(inputs[c], factors[c], alpha);
      }
    }
    for (size_t s = 0; s < kCalibratedSlots.size(); ++s) {
      const size_t norm = NormBefore(kCalibratedSlots[s], stack.residual);
      layer.input_scales[s] =
          InputStep(calibration.Peaks(kCalibratedSlots[s], i),
                    norm == kNoNorm ? std::span<const float>() : layer.factors[norm]);
    }
  }
  return Smoothing(stack, std::move(layers));
}

std::span<const float> Smoothing::ColumnFactors(Slot slot, int64_t layer) const {
  const size_t norm = NormBefore(slot, residual_);
  if (norm == kNoNorm) return {};
  return layers_[static_cast<size_t>(layer)].factors[norm];
}

float Smoothing::InputScale(Slot slot, int64_t layer) const {
  const auto* const found = std::find(kCalibratedSlots.begin(), kCalibratedSlots.end(), slot);
  if (found == kCalibratedSlots.end()) return 0.0f;
  return layers_[static_cast<size_t>(layer)]
      .input_scales[static_cast<size_t>(found - kCalibratedSlots.begin())];
}

void Smoothing::DivideNorm(Slot slot, int64_t layer, std::span<float> vector) const {
  const bool attention = slot == Slot::kAttentionNormWeight || slot == Slot::kAttentionNormBias;
  const bool ffn = slot == Slot::kFfnNormWeight || slot == Slot::kFfnNormBias;
  if (!attention && !ffn) return;
  const auto& factors =
      layers_[static_cast<size_t>(layer)].factors[attention ? kAttentionNorm : kFfnNorm];
  for (size_t i = 0; i < factors.size(); ++i) vector[i] /= factors[i];
}

SourceRows MultiplyColumns(const SourceRows& rows, std::span<const float> factors,
                           std::vector<float>& buffer) {
  SourceRows out = {.dtype = DType::kF32, .rows = rows.rows, .cols = rows.cols};
  const bool by_columns = rows.row_stride < rows.col_stride;
  out.row_stride = by_columns ? 1 : rows.cols;
  out.col_stride = by_columns ? rows.rows : 1;
  buffer.resize(static_cast<size_t>(rows.rows * rows.cols));
  ForEachElement(rows, [&](int64_t row, int64_t col, float element) {
    buffer[static_cast<size_t>(row * out.row_stride + col * out.col_stride)] =
        element * factors[static_cast<size_t>(col)];
  });
  out.data = buffer.data();
  return out;
}

}  // namespace dray::model
