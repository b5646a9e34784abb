// The two ends of the forward pass, where the vocabulary is: tokens become rows of the residual
// stream, and rows of the stream become logits. The ranks of a group divide the vocabulary.
#include <algorithm>

#include "base/check.h"
#include "model/forward/decoder.h"

namespace dray::model {

using kernels::VectorNorm;
using kernels::WriteMode;

Status Decoder::AllocateHead() {
  const int64_t rows = limits_.max_logit_rows;
  DRAY_RETURN_IF_ERROR(MakeRows(head_in_, rows, config_.hidden));
  DRAY_RETURN_IF_ERROR(MakeRows(logits_, rows, vocab_rows_));
  if (communicator_ != nullptr && rank_.index == 0) {
    DRAY_RETURN_IF_ERROR(MakeRows(gathered_, rank_.world, rows * vocab_rows_));
  }
  if (model_weights_.Matrix(Slot::kProjectOut) == nullptr) return OkStatus();
  return MakeRows(projected_, rows, model_config_.embed_dim);
}

Status Decoder::EmbedTokens() {
  const kernels::WeightMatrix* project = model_weights_.Matrix(Slot::kProjectIn);
  const kernels::Activations embedded = RowsOf(project != nullptr ? embedded_ : x_);
  DRAY_RETURN_IF_ERROR(ReadTable(embedded));
  if (project != nullptr) {
    ops_.Linear({.weight = project, .x = embedded, .rows = num_tokens_, .out = RowsOf(x_)});
  }
  if (config_.position == PositionKind::kLearned) {
    ops_.Embed({.table = weights_.Matrix(Slot::kPositionEmbedding),
                .ids = indices_.position_rows,
                .num_tokens = num_tokens_,
                .out = RowsOf(x_),
                .mode = WriteMode::kAdd});
  }
  if (config_.embedding_norm) {
    NormInPlace(NormOf(Slot::kEmbeddingNormWeight, Slot::kEmbeddingNormBias, kNoLayer));
  }
  return OkStatus();
}

Status Decoder::ReadTable(const kernels::Activations& out) {
  kernels::EmbedArgs args = {.table = model_weights_.Matrix(Slot::kTokenEmbedding),
                             .ids = indices_.ids,
                             .num_tokens = num_tokens_,
                             .out = out};
  if (communicator_ == nullptr) {
    ops_.Embed(args);
    return OkStatus();
  }
  // A token's row is at one rank, and the parts of the other ranks are zeros. Parts are added to
  // what is in `out`, so zeros are written there too.
  args.out.data = communicator_->part();
  ops_.Embed(args);
  args.ids = indices_.no_ids;
  args.out = out;
  ops_.Embed(args);
  return communicator_->AddParts(out.as<float>(), num_tokens_ * out.stride);
}

Status Decoder::Logits(std::span<const int32_t> rows, std::span<float> out) {
  const auto count = static_cast<int64_t>(rows.size());
  DRAY_CHECK(count <= limits_.max_logit_rows);
  DRAY_CHECK(rank_.index > 0 ||
             static_cast<int64_t>(out.size()) == count * model_config_.vocab_size);
  DRAY_RETURN_IF_ERROR(memory_.CopyFromHost(indices_.logit_rows, rows.data(), rows.size_bytes()));
  ops_.GatherRows({.x = RowsOf(x_),
                   .rows = indices_.logit_rows,
                   .num_rows = count,
                   .cols = config_.hidden,
                   .out = RowsOf(head_in_)});
  ComputeHead(count);
  if (communicator_ != nullptr) return GatherLogits(count, out);
  return memory_.CopyToHost(out.data(), logits_.as<float>(), out.size_bytes());
}

void Decoder::ComputeHead(int64_t count) {
  const VectorNorm final_norm = NormOf(Slot::kFinalNormWeight, Slot::kFinalNormBias, kNoLayer);
  const VectorNorm* norm = config_.final_norm ? &final_norm : nullptr;
  kernels::Activations head_in = RowsOf(head_in_);
  if (const auto* project = model_weights_.Matrix(Slot::kProjectOut)) {
    ops_.Linear(
        {.weight = project, .norm = norm, .x = head_in, .rows = count, .out = RowsOf(projected_)});
    head_in = RowsOf(projected_);
    norm = nullptr;
  }
  const auto* head =
      model_weights_.Matrix(model_config_.tied_head ? Slot::kTokenEmbedding : Slot::kHead);
  ops_.Linear({.weight = head,
               .norm = norm,
               .x = head_in,
               .rows = count,
               .bias = model_weights_.Vector(Slot::kHeadBias),
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
