#include "model/sentence/text_vectors.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <utility>

#include "model/forward/rows.h"
#include "model/weights/sliced_rows.h"
#include "model/weights/source_rows.h"

namespace dray::model {
namespace {

using checkpoint::TensorSource;

// Adds weight(i) times row i of `states` to `out`, for all rows.
template <typename Weight>
void AddRows(std::span<const float> states, std::span<float> out, const Weight& weight) {
  const size_t hidden = out.size();
  for (size_t row = 0; row * hidden < states.size(); ++row) {
    const float factor = weight(row);
    const float* state = states.data() + row * hidden;
    for (size_t d = 0; d < hidden; ++d) out[d] += factor * state[d];
  }
}

void PoolMax(std::span<const float> states, std::span<float> out) {
  std::copy_n(states.begin(), out.size(), out.begin());
  for (size_t row = 0; row * out.size() < states.size(); ++row) {
    const float* state = states.data() + row * out.size();
    for (size_t d = 0; d < out.size(); ++d) out[d] = std::max(out[d], state[d]);
  }
}

void Normalize(std::span<float> vector) {
  double squares = 0;
  for (const float x : vector) squares += double{x} * double{x};
  // A vector of zeros stays one.
  const double length = std::max(std::sqrt(squares), 1e-12);
  for (float& x : vector) x = static_cast<float>(double{x} / length);
}

Status CheckShape(const TensorSource& source, const Shape& expected) {
  if (source.shape == expected) return OkStatus();
  return {StatusCode::kInvalidArgument,
          fmt::format("{}: tensor {} has shape {}, but the config.json beside it makes it {}",
                      source.file->path().string(), source.name, source.shape.ToString(),
                      expected.ToString())};
}

Status CheckFloats(const TensorSource& source) {
  const bool is_plain = source.blocks == nullptr && source.slices.empty();
  if (is_plain && (IsWeightType(source.dtype) || source.dtype == DType::kF64)) return OkStatus();
  return {StatusCode::kUnsupported,
          fmt::format("{}: tensor {} must be stored as f32, f16, bf16 or f64",
                      source.file->path().string(), source.name)};
}

}  // namespace

void AppendPooled(PoolingMode mode, std::span<const float> states, int64_t hidden,
                  std::vector<float>& out) {
  const auto width = static_cast<size_t>(hidden);
  const size_t num_tokens = states.size() / width;
  const auto count = static_cast<float>(num_tokens);
  out.resize(out.size() + width, 0.0f);
  const std::span<float> pooled = std::span(out).last(width);
  switch (mode) {
    case PoolingMode::kCls:
      std::copy_n(states.begin(), width, pooled.begin());
      return;
    case PoolingMode::kLastToken:
      std::copy_n(states.end() - hidden, width, pooled.begin());
      return;
    case PoolingMode::kMax:
      PoolMax(states, pooled);
      return;
    case PoolingMode::kMean:
      AddRows(states, pooled, [](size_t) { return 1.0f; });
      for (float& x : pooled) x /= count;
      return;
    case PoolingMode::kMeanSqrtLen:
      AddRows(states, pooled, [](size_t) { return 1.0f; });
      for (float& x : pooled) x /= std::sqrt(count);
      return;
    case PoolingMode::kWeightedMean:
      AddRows(states, pooled, [](size_t row) { return static_cast<float>(row + 1); });
      for (float& x : pooled) x /= count * (count + 1) / 2;
      return;
  }
}

Result<std::unique_ptr<TextVectors>> TextVectors::Make(const SentenceConfig& config, int64_t hidden,
                                                       kernels::Backend& backend,
                                                       const checkpoint::OpenOptions& files) {
  DRAY_RETURN_IF_ERROR(CheckSizes(config, hidden));
  std::unique_ptr<TextVectors> vectors(new TextVectors(config, hidden, backend));
  for (const SentenceStep& step : config.steps) {
    const auto* dense = std::get_if<DenseStep>(&step);
    if (dense != nullptr) DRAY_RETURN_IF_ERROR(vectors->LoadDense(*dense, files));
  }
  return vectors;
}

Status TextVectors::LoadDense(const DenseStep& step, const checkpoint::OpenOptions& files) {
  DRAY_ASSIGN_OR_RETURN(const auto checkpoint, checkpoint::Checkpoint::Open(step.folder, files));
  DRAY_ASSIGN_OR_RETURN(const TensorSource* weight, checkpoint.Require("linear.weight"));
  DRAY_RETURN_IF_ERROR(CheckShape(*weight, {step.out_features, step.in_features}));
  DRAY_RETURN_IF_ERROR(CheckFloats(*weight));
  Dense dense;
  dense.activation = step.activation;
  DRAY_ASSIGN_OR_RETURN(dense.weight,
                        backend_.packer().AllocateMatrix(kernels::MatrixSpec::Of(
                            step.out_features, step.in_features, kernels::WeightFormat::kF32)));
  DRAY_RETURN_IF_ERROR(
      backend_.packer().PackRows(dense.weight, 0, AsRows(*weight, Transform::kNone)));
  if (step.has_bias) {
    DRAY_ASSIGN_OR_RETURN(const TensorSource* bias, checkpoint.Require("linear.bias"));
    DRAY_RETURN_IF_ERROR(CheckShape(*bias, {step.out_features}));
    DRAY_RETURN_IF_ERROR(CheckFloats(*bias));
    const std::vector<float> numbers = GatherVector(*bias);
    DRAY_ASSIGN_OR_RETURN(dense.bias, MakeRows(backend_.memory(), 1, step.out_features));
    DRAY_RETURN_IF_ERROR(backend_.memory().CopyFromHost(dense.bias.as<float>(), numbers.data(),
                                                        numbers.size() * sizeof(float)));
  }
  dense_.push_back(std::move(dense));
  return checkpoint.CheckUnchanged();
}

Result<std::vector<float>> TextVectors::RunDense(const Dense& dense,
                                                 const std::vector<float>& vectors) {
  const int64_t in = dense.weight.cols(), out = dense.weight.rows();
  const int64_t rows = static_cast<int64_t>(vectors.size()) / in;
  kernels::Memory& memory = backend_.memory();
  DRAY_ASSIGN_OR_RETURN(const Tensor x, MakeRows(memory, rows, in));
  DRAY_ASSIGN_OR_RETURN(const Tensor y, MakeRows(memory, rows, out));
  DRAY_RETURN_IF_ERROR(
      memory.CopyFromHost(x.as<float>(), vectors.data(), vectors.size() * sizeof(float)));
  backend_.ops().Linear({.weight = &dense.weight,
                         .x = RowsOf(x),
                         .rows = rows,
                         .bias = dense.bias.size_bytes() > 0 ? dense.bias.as<float>() : nullptr,
                         .activation = dense.activation,
                         .out = RowsOf(y)});
  std::vector<float> result(static_cast<size_t>(rows * out));
  DRAY_RETURN_IF_ERROR(
      memory.CopyToHost(result.data(), y.as<float>(), result.size() * sizeof(float)));
  return result;
}

Result<std::vector<float>> TextVectors::Run(std::span<const float> states,
                                            std::span<const int32_t> lengths) {
  std::vector<float> vectors;
  for (const int32_t length : lengths) {
    const size_t count = static_cast<size_t>(length) * static_cast<size_t>(hidden_);
    for (const PoolingMode mode : config_.pooling) {
      AppendPooled(mode, states.first(count), hidden_, vectors);
    }
    states = states.subspan(count);
  }
  size_t num_dense = 0;
  for (const SentenceStep& step : config_.steps) {
    if (std::holds_alternative<DenseStep>(step)) {
      DRAY_ASSIGN_OR_RETURN(vectors, RunDense(dense_[num_dense++], vectors));
      continue;
    }
    const size_t width = vectors.size() / std::max<size_t>(1, lengths.size());
    for (size_t i = 0; i < lengths.size(); ++i) {
      Normalize(std::span(vectors).subspan(i * width, width));
    }
  }
  return vectors;
}

}  // namespace dray::model
