// The end of a decoder's forward pass: rows of the residual stream become logits. The ranks of a
// group divide the vocabulary.
#include <algorithm>
#include <vector>

#include "base/check.h"
#include "model/forward/decoder.h"

namespace dray::model {

using kernels::VectorNorm;

Status Decoder::AllocateHead() {
  const int64_t rows = limits_.max_logit_rows;
  DRAY_ASSIGN_OR_RETURN(head_in_, MakeRows(memory_, rows, config_.hidden));
  DRAY_ASSIGN_OR_RETURN(logits_, MakeRows(memory_, rows, vocab_rows_));
  if (communicator_ != nullptr && rank_.index == 0) {
    DRAY_ASSIGN_OR_RETURN(gathered_, MakeRows(memory_, rank_.world, rows * vocab_rows_));
  }
  if (model_config_.head_scale != 1.0f) DRAY_RETURN_IF_ERROR(ScaleFinalNorm());
  if (weights_.Matrix(Slot::kProjectOut) == nullptr) return OkStatus();
  DRAY_ASSIGN_OR_RETURN(projected_, MakeRows(memory_, rows, model_config_.embed_dim));
  return OkStatus();
}

Status Decoder::ScaleFinalNorm() {
  DRAY_CHECK(config_.final_norm && config_.norm_affine && !config_.norm_bias);
  std::vector<float> weight(static_cast<size_t>(config_.hidden));
  const size_t bytes = weight.size() * sizeof(float);
  DRAY_RETURN_IF_ERROR(
      memory_.CopyToHost(weight.data(), weights_.Vector(Slot::kFinalNormWeight), bytes));
  for (float& w : weight) w *= model_config_.head_scale;
  DRAY_ASSIGN_OR_RETURN(scaled_norm_, MakeRows(memory_, 1, config_.hidden));
  return memory_.CopyFromHost(scaled_norm_.as<float>(), weight.data(), bytes);
}

Status Decoder::Logits(std::span<const int32_t> rows, RowResults out) {
  const auto count = static_cast<int64_t>(rows.size());
  DRAY_CHECK(count <= limits_.max_logit_rows);
  DRAY_CHECK(rank_.index > 0 ||
             static_cast<int64_t>(out.logits.size()) == count * model_config_.vocab_size);
  DRAY_RETURN_IF_ERROR(memory_.CopyFromHost(indices_.logit_rows, rows.data(), rows.size_bytes()));
  ops_.GatherRows({.x = RowsOf(stack_->x()),
                   .rows = indices_.logit_rows,
                   .num_rows = count,
                   .cols = config_.hidden,
                   .out = RowsOf(head_in_)});
  ComputeHead(count);
  if (!out.states.empty()) DRAY_RETURN_IF_ERROR(CopyStates(count, out.states));
  if (communicator_ != nullptr) return GatherLogits(count, out.logits);
  return memory_.CopyToHost(out.logits.data(), logits_.as<float>(), out.logits.size_bytes());
}

Status Decoder::CopyStates(int64_t count, std::span<float> out) {
  DRAY_CHECK(static_cast<int64_t>(out.size()) == count * model_config_.embed_dim);
  if (weights_.Matrix(Slot::kProjectOut) != nullptr) {
    return memory_.CopyToHost(out.data(), projected_.as<float>(), out.size_bytes());
  }
  if (config_.final_norm) {
    // The head's multiplication normalises its input for itself, and leaves head_in_ as it was.
    ops_.Norm({.norm = MakeNorm(config_, weights_.stack(), Slot::kFinalNormWeight,
                                Slot::kFinalNormBias, kNoLayer),
               .x = RowsOf(head_in_),
               .out = RowsOf(head_in_),
               .rows = count,
               .cols = config_.hidden});
  }
  return memory_.CopyToHost(out.data(), head_in_.as<float>(), out.size_bytes());
}

void Decoder::ComputeHead(int64_t count) {
  VectorNorm final_norm =
      MakeNorm(config_, weights_.stack(), Slot::kFinalNormWeight, Slot::kFinalNormBias, kNoLayer);
  if (model_config_.head_scale != 1.0f) final_norm.weight = scaled_norm_.as<float>();
  const VectorNorm* norm = config_.final_norm ? &final_norm : nullptr;
  kernels::Activations head_in = RowsOf(head_in_);
  if (const auto* project = weights_.Matrix(Slot::kProjectOut)) {
    ops_.Linear(
        {.weight = project, .norm = norm, .x = head_in, .rows = count, .out = RowsOf(projected_)});
    head_in = RowsOf(projected_);
    norm = nullptr;
  }
  const auto* head = weights_.Matrix(model_config_.tied_head ? Slot::kTokenEmbedding : Slot::kHead);
  ops_.Linear({.weight = head,
               .norm = norm,
               .x = head_in,
               .rows = count,
               .bias = weights_.Vector(Slot::kHeadBias),
               .out = RowsOf(logits_)});
}

Status Decoder::GatherLogits(int64_t count, std::span<float> out) {
  float* const all = rank_.index == 0 ? gathered_.as<float>() : nullptr;
  DRAY_RETURN_IF_ERROR(communicator_->Gather(logits_.as<float>(), count * vocab_rows_, all));
  if (rank_.index > 0) return OkStatus();
  const int64_t vocab = model_config_.vocab_size;
  for (int64_t i = 0; i < count * rank_.world; ++i) {
    const int64_t owner = i / count, row = i % count;
    const int64_t first = owner * vocab_rows_;
    const int64_t num_real = std::clamp<int64_t>(vocab - first, 0, vocab_rows_);
    if (num_real == 0) continue;
    DRAY_RETURN_IF_ERROR(memory_.CopyToHost(out.data() + row * vocab + first, all + i * vocab_rows_,
                                            static_cast<size_t>(num_real) * sizeof(float)));
  }
  return OkStatus();
}

}  // namespace dray::model
