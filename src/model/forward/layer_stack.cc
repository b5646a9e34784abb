#include "model/forward/layer_stack.h"

#include <utility>
#include <vector>

#include "base/check.h"
#include "model/forward/relative_bias.h"

namespace dray::model {

using kernels::VectorNorm;
using kernels::WriteMode;

LayerStack::LayerStack(const ForwardParts& parts)
    : config_(parts.stack),
      weights_(parts.weights.stack()),
      memory_(parts.backend.memory()),
      ops_(parts.backend.ops()),
      communicator_(parts.communicator),
      stream_(parts.stream),
      stream_user_(parts.communicator == nullptr
                       ? 0
                       : static_cast<size_t>(parts.communicator->rank().index)) {}

Result<std::unique_ptr<LayerStack>> LayerStack::Make(const ForwardParts& parts,
                                                     int64_t max_tokens) {
  std::unique_ptr<LayerStack> stack(new LayerStack(parts));
  DRAY_RETURN_IF_ERROR(stack->Allocate(parts, max_tokens));
  return stack;
}

Status LayerStack::Allocate(const ForwardParts& parts, int64_t max_tokens) {
  DRAY_CHECK(!config_.cross_attention || (config_.norm_placement == NormPlacement::kPre &&
                                          config_.residual == ResidualForm::kSequential));
  DRAY_ASSIGN_OR_RETURN(x_, MakeRows(memory_, max_tokens, config_.hidden));
  DRAY_ASSIGN_OR_RETURN(qkv_, MakeRows(memory_, max_tokens, config_.qkv_width()));
  DRAY_ASSIGN_OR_RETURN(attention_, MakeRows(memory_, max_tokens, config_.query_width()));
  DRAY_ASSIGN_OR_RETURN(ffn_, MakeRows(memory_, max_tokens, config_.ffn));
  if (config_.position == PositionKind::kAlibi) return AllocateAlibi();
  if (config_.position == PositionKind::kRelative) return AllocateRelativeBias(parts);
  return OkStatus();
}

Status LayerStack::AllocateAlibi() {
  const std::vector<float>& slopes = config_.alibi_slopes;
  DRAY_ASSIGN_OR_RETURN(alibi_, MakeRows(memory_, 1, config_.num_heads));
  return memory_.CopyFromHost(alibi_.as<float>(), slopes.data(), slopes.size() * sizeof(float));
}

Status LayerStack::AllocateRelativeBias(const ForwardParts& parts) {
  const StackConfig& whole = parts.config.stack;
  const auto rank = communicator_ == nullptr ? parallel::Rank{} : communicator_->rank();
  std::vector<float> table(static_cast<size_t>(whole.relative.num_buckets * whole.num_heads));
  DRAY_RETURN_IF_ERROR(memory_.CopyToHost(table.data(), weights_.Vector(Slot::kRelativeBias),
                                          table.size() * sizeof(float)));
  const parallel::Slice heads = parallel::CutHeads(whole.num_heads, whole.num_kv_heads, rank).query;
  const std::vector<float> values = SpreadRelativeBias(config_, table, whole.num_heads, heads);
  DRAY_ASSIGN_OR_RETURN(relative_bias_values_,
                        MakeRows(memory_, 1, static_cast<int64_t>(values.size())));
  relative_bias_ = {relative_bias_values_.as<float>(), config_.relative.max_distance};
  return memory_.CopyFromHost(relative_bias_values_.as<float>(), values.data(),
                              values.size() * sizeof(float));
}

Status LayerStack::Run(const StackRows& rows, const KvCache& cache) {
  rows_ = rows;
  part_mode_ = WriteMode::kOverwrite;
  for (int64_t layer = 0; layer < config_.num_layers; ++layer) {
    if (stream_ != nullptr) DRAY_RETURN_IF_ERROR(stream_->Begin(stream_user_, layer));
    DRAY_RETURN_IF_ERROR(Layer(layer, cache));
    if (stream_ != nullptr) stream_->End(stream_user_);
  }
  return OkStatus();
}

Status LayerStack::Layer(int64_t layer, const KvCache& cache) {
  const VectorNorm attention_norm =
      NormOf(Slot::kAttentionNormWeight, Slot::kAttentionNormBias, layer);
  const VectorNorm ffn_norm = NormOf(Slot::kFfnNormWeight, Slot::kFfnNormBias, layer);
  if (config_.norm_placement == NormPlacement::kPost) {
    AttentionCore(layer, nullptr, cache);
    AddAttentionOut(layer);
    DRAY_RETURN_IF_ERROR(AddParts());
    NormInPlace(attention_norm);
    FeedForwardIn(layer, nullptr);
    AddFeedForwardOut(layer);
    DRAY_RETURN_IF_ERROR(AddParts());
    NormInPlace(ffn_norm);
    return OkStatus();
  }
  if (config_.residual != ResidualForm::kSequential) {
    // Both branches read x as it came in, so both have read it before anything is added to it.
    AttentionCore(layer, &attention_norm, cache);
    const bool two_norms = config_.residual == ResidualForm::kParallelTwoNorms;
    FeedForwardIn(layer, two_norms ? &ffn_norm : &attention_norm);
    AddAttentionOut(layer);
    AddFeedForwardOut(layer);
    return AddParts();
  }
  // A norm that is the residual too is written out; others live in the projection behind them.
  const auto before_projection = [&](const VectorNorm& norm) {
    if (!config_.residual_after_norm) return &norm;
    NormInPlace(norm);
    return static_cast<const VectorNorm*>(nullptr);
  };
  AttentionCore(layer, before_projection(attention_norm), cache);
  AddAttentionOut(layer);
  DRAY_RETURN_IF_ERROR(AddParts());
  DRAY_RETURN_IF_ERROR(AddCrossAttention(layer, cache));
  FeedForwardIn(layer, before_projection(ffn_norm));
  AddFeedForwardOut(layer);
  return AddParts();
}

void LayerStack::AttentionCore(int64_t layer, const VectorNorm* norm, const KvCache& cache) {
  kernels::LinearArgs projection = Projection(Slot::kQkv, Slot::kQkvBias, layer, x_);
  projection.norm = norm;
  projection.out = RowsOf(qkv_);
  const auto head_norm = [&](Slot weight) {
    return VectorNorm{.kind = NormKind::kRmsNorm,
                      .weight = weights_.Vector(weight, layer),
                      .eps = config_.norm_eps};
  };
  const VectorNorm query_norm = head_norm(Slot::kQueryNorm), key_norm = head_norm(Slot::kKeyNorm);
  const bool rotary = config_.position == PositionKind::kRotary;
  ops_.QkvLinear(projection, {.qkv = RowsOf(qkv_),
                              .num_tokens = rows_.num_tokens,
                              .num_heads = config_.num_heads,
                              .query_norm = config_.qk_norm ? &query_norm : nullptr,
                              .key_norm = config_.qk_norm ? &key_norm : nullptr,
                              .style = config_.rope.style,
                              .rotary_dim = rotary ? config_.rope.dim : 0,
                              .cos_sin = rotary ? rows_.cos_sin : nullptr,
                              .table_rows = rows_.rope_rows,
                              .slots = rows_.slots,
                              .cache = cache.Layer(layer)});
  kernels::AttentionArgs attention = Attention(layer, cache);
  attention.sequences = rows_.sequences;
  attention.mask = config_.mask;
  if (config_.position == PositionKind::kAlibi) attention.alibi_slopes = alibi_.as<float>();
  attention.relative_bias = relative_bias_;
  attention.window = config_.window[static_cast<size_t>(layer)];
  ops_.Attention(attention);
}

kernels::AttentionArgs LayerStack::Attention(int64_t layer, const KvCache& cache) const {
  return {.q = RowsOf(qkv_),
          .out = RowsOf(attention_),
          .num_heads = config_.num_heads,
          .cache = cache.Layer(layer),
          .num_sequences = rows_.num_sequences,
          .block_tables = rows_.block_tables,
          .scale = config_.attention_scale[static_cast<size_t>(layer)]};
}

Status LayerStack::AddCrossAttention(int64_t layer, const KvCache& cache) {
  if (!config_.cross_attention) return OkStatus();
  const VectorNorm norm = {.kind = config_.norm,
                           .weight = weights_.Vector(Slot::kCrossNormWeight, layer),
                           .eps = config_.norm_eps};
  ops_.Linear({.weight = weights_.Matrix(Slot::kCrossQuery, layer),
               .norm = &norm,
               .x = RowsOf(x_),
               .rows = rows_.num_tokens,
               .out = RowsOf(qkv_)});
  kernels::AttentionArgs attention = Attention(layer, cache);
  attention.sequences = rows_.cross_sequences;
  attention.mask = AttentionMask::kFull;
  ops_.Attention(attention);
  AddProjection({.weight = weights_.Matrix(Slot::kCrossOut, layer),
                 .x = RowsOf(attention_),
                 .rows = rows_.num_tokens});
  return AddParts();
}

void LayerStack::AddAttentionOut(int64_t layer) {
  AddProjection(Projection(Slot::kAttentionOut, Slot::kAttentionOutBias, layer, attention_));
}

void LayerStack::FeedForwardIn(int64_t layer, const VectorNorm* norm) {
  kernels::LinearArgs in = Projection(Slot::kFfnIn, Slot::kFfnInBias, layer, x_);
  in.norm = norm;
  in.activation = config_.activation;
  in.gated = config_.gated;
  in.out = RowsOf(ffn_);
  ops_.Linear(in);
}

void LayerStack::AddFeedForwardOut(int64_t layer) {
  AddProjection(Projection(Slot::kFfnOut, Slot::kFfnOutBias, layer, ffn_));
}

void LayerStack::AddProjection(const kernels::LinearArgs& projection) {
  kernels::LinearArgs out = projection;
  out.mode = WriteMode::kAdd;
  out.out = RowsOf(x_);
  if (communicator_ != nullptr) {
    out.mode = std::exchange(part_mode_, WriteMode::kAdd);
    out.out.data = communicator_->part();
  }
  ops_.Linear(out);
}

Status LayerStack::AddParts() {
  if (communicator_ == nullptr) return OkStatus();
  part_mode_ = WriteMode::kOverwrite;
  return communicator_->AddParts(x_.as<float>(), rows_.num_tokens * config_.hidden);
}

VectorNorm LayerStack::NormOf(Slot weight, Slot bias, int64_t layer) const {
  return MakeNorm(config_, weights_, weight, bias, layer);
}

void LayerStack::NormInPlace(const VectorNorm& norm) {
  ops_.Norm({.norm = norm,
             .x = RowsOf(x_),
             .out = RowsOf(x_),
             .rows = rows_.num_tokens,
             .cols = config_.hidden});
}

kernels::LinearArgs LayerStack::Projection(Slot weight, Slot bias, int64_t layer,
                                           const Tensor& in) const {
  return {.weight = weights_.Matrix(weight, layer),
          .x = RowsOf(in),
          .rows = rows_.num_tokens,
          .bias = weights_.Vector(bias, layer)};
}

VectorNorm MakeNorm(const StackConfig& config, const StackWeights& weights, Slot weight, Slot bias,
                    int64_t layer) {
  return {.kind = config.norm,
          .weight = weights.Vector(weight, layer),
          .bias = weights.Vector(bias, layer),
          .eps = config.norm_eps};
}

}  // namespace dray::model
