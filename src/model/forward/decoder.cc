#include "model/forward/decoder.h"

#include <algorithm>
#include <utility>

#include "base/check.h"
#include "base/checked_math.h"
#include "model/forward/rope.h"

namespace dray::model {

using kernels::VectorNorm;
using kernels::WriteMode;

void RaggedBatch::Clear() {
  ids.clear();
  positions.clear();
  slots.clear();
  known_tokens.clear();
  sequences.clear();
  block_tables.clear();
}

void RaggedBatch::Reserve(const DecoderLimits& limits) {
  const auto tokens = static_cast<size_t>(limits.max_batch_tokens);
  for (std::vector<int32_t>* list : {&ids, &positions, &slots, &known_tokens}) {
    list->reserve(tokens);
  }
  sequences.reserve(static_cast<size_t>(limits.max_sequences));
  block_tables.reserve(static_cast<size_t>(limits.max_table_entries));
}

Decoder::Decoder(const DecoderParts& parts, const DecoderLimits& limits)
    : model_config_(parts.config),
      config_(parts.stack),
      model_weights_(parts.weights),
      weights_(parts.weights.stack()),
      memory_(parts.backend.memory()),
      ops_(parts.backend.ops()),
      communicator_(parts.communicator),
      rank_(communicator_ != nullptr ? communicator_->rank() : parallel::Rank{}),
      stage_(parts.stage),
      vocab_rows_(parallel::CutVocabulary(parts.config.vocab_size, rank_).local_size),
      limits_(limits) {}

Result<std::unique_ptr<Decoder>> Decoder::Make(const DecoderParts& parts,
                                               const DecoderLimits& limits) {
  std::unique_ptr<Decoder> decoder(new Decoder(parts, limits));
  if (decoder->communicator_ != nullptr) {
    DRAY_CHECK(decoder->communicator_->max_count() >=
               MaxCount(parts.config, limits, decoder->rank_.world));
  }
  DRAY_RETURN_IF_ERROR(decoder->Allocate());
  if (parts.stage.is_last()) DRAY_RETURN_IF_ERROR(decoder->AllocateHead());
  DRAY_RETURN_IF_ERROR(decoder->AllocateIndices());
  return decoder;
}

int64_t Decoder::MaxCount(const ModelConfig& config, const DecoderLimits& limits, int64_t world) {
  const int64_t vocab_rows = parallel::CutVocabulary(config.vocab_size, {0, world}).local_size;
  return std::max(limits.max_batch_tokens * std::max(config.stack.hidden, config.embed_dim),
                  limits.max_logit_rows * vocab_rows);
}

Status Decoder::MakeRows(Tensor& tensor, int64_t rows, int64_t cols) {
  DRAY_ASSIGN_OR_RETURN(tensor, Tensor::Make(memory_.allocator(), DType::kF32, {rows, cols}));
  return OkStatus();
}

Status Decoder::Allocate() {
  const auto make = [&](Tensor& tensor, int64_t rows, int64_t cols) {
    return MakeRows(tensor, rows, cols);
  };
  const int64_t tokens = limits_.max_batch_tokens;
  DRAY_RETURN_IF_ERROR(make(x_, tokens, config_.hidden));
  DRAY_RETURN_IF_ERROR(make(qkv_, tokens, config_.qkv_width()));
  DRAY_RETURN_IF_ERROR(make(attention_, tokens, config_.query_width()));
  DRAY_RETURN_IF_ERROR(make(ffn_, tokens, config_.ffn));
  if (model_weights_.Matrix(Slot::kProjectIn) != nullptr) {
    DRAY_RETURN_IF_ERROR(make(embedded_, tokens, model_config_.embed_dim));
  }
  if (config_.position == PositionKind::kRotary) {
    DRAY_RETURN_IF_ERROR(make(cos_sin_, tokens, config_.rope.dim));
    host_cos_sin_.resize(static_cast<size_t>(tokens * config_.rope.dim));
    inverse_frequencies_ = InverseFrequencies(config_.rope, 0);
    for (int64_t i = 0; i < tokens; ++i) rope_rows_.push_back(static_cast<int32_t>(i));
  }
  if (config_.position == PositionKind::kLearned)
    position_rows_.reserve(static_cast<size_t>(tokens));
  if (config_.position == PositionKind::kAlibi) {
    const std::vector<float>& slopes = config_.alibi_slopes;
    DRAY_RETURN_IF_ERROR(make(alibi_, 1, config_.num_heads));
    DRAY_RETURN_IF_ERROR(
        memory_.CopyFromHost(alibi_.as<float>(), slopes.data(), slopes.size() * sizeof(float)));
  }
  return OkStatus();
}

Status Decoder::AllocateIndices() {
  static_assert(sizeof(kernels::AttentionSequence) % sizeof(int32_t) == 0);
  constexpr auto kSequenceWords =
      static_cast<int64_t>(sizeof(kernels::AttentionSequence) / sizeof(int32_t));
  const int64_t tokens = limits_.max_batch_tokens;
  const int64_t words = 5 * tokens + limits_.max_table_entries + limits_.max_logit_rows +
                        limits_.max_sequences * kSequenceWords;
  DRAY_ASSIGN_OR_RETURN(index_memory_, Tensor::Make(memory_.allocator(), DType::kI32, {words}));
  auto* next = index_memory_.as<int32_t>();
  const auto take = [&](int64_t count) { return std::exchange(next, next + count); };
  indices_.sequences =
      reinterpret_cast<kernels::AttentionSequence*>(take(limits_.max_sequences * kSequenceWords));
  indices_.ids = take(tokens);
  indices_.no_ids = take(tokens);
  indices_.position_rows = take(tokens);
  indices_.slots = take(tokens);
  indices_.rope_rows = take(tokens);
  indices_.block_tables = take(limits_.max_table_entries);
  indices_.logit_rows = take(limits_.max_logit_rows);
  table_rows_.assign(static_cast<size_t>(tokens), -1);
  DRAY_RETURN_IF_ERROR(memory_.CopyFromHost(indices_.no_ids, table_rows_.data(),
                                            table_rows_.size() * sizeof(int32_t)));
  return memory_.CopyFromHost(indices_.rope_rows, rope_rows_.data(),
                              rope_rows_.size() * sizeof(int32_t));
}

Status Decoder::Upload(const RaggedBatch& batch) {
  num_tokens_ = static_cast<int64_t>(batch.ids.size());
  num_sequences_ = static_cast<int64_t>(batch.sequences.size());
  DRAY_CHECK(num_tokens_ <= limits_.max_batch_tokens && num_sequences_ <= limits_.max_sequences);
  DRAY_CHECK(static_cast<int64_t>(batch.block_tables.size()) <= limits_.max_table_entries);
  const auto copy = [&](auto* to, const auto& from) {
    return memory_.CopyFromHost(to, from.data(), from.size() * sizeof(from[0]));
  };
  DRAY_RETURN_IF_ERROR(UploadIds(batch));
  DRAY_RETURN_IF_ERROR(copy(indices_.slots, batch.slots));
  DRAY_RETURN_IF_ERROR(copy(indices_.block_tables, batch.block_tables));
  DRAY_RETURN_IF_ERROR(copy(indices_.sequences, batch.sequences));
  if (config_.position == PositionKind::kRotary) return UploadRope(batch);
  if (config_.position == PositionKind::kLearned) {
    position_rows_.clear();
    for (const int32_t position : batch.positions) {
      position_rows_.push_back(position + static_cast<int32_t>(config_.position_offset));
    }
    return copy(indices_.position_rows, position_rows_);
  }
  return OkStatus();
}

Status Decoder::UploadIds(const RaggedBatch& batch) {
  const auto first_row = static_cast<int32_t>(rank_.index * vocab_rows_);
  const auto num_rows = static_cast<int32_t>(vocab_rows_);
  table_rows_.clear();
  for (const int32_t id : batch.ids) {
    const int32_t row = id - first_row;
    table_rows_.push_back(row >= 0 && row < num_rows ? row : -1);
  }
  return memory_.CopyFromHost(indices_.ids, table_rows_.data(),
                              table_rows_.size() * sizeof(int32_t));
}

Status Decoder::UploadRope(const RaggedBatch& batch) {
  const auto dim = static_cast<size_t>(config_.rope.dim);
  const bool dynamic = config_.rope.scaling == RopeScaling::kDynamic;
  int32_t frequencies_for = -1;
  for (size_t i = 0; i < batch.positions.size(); ++i) {
    if (dynamic && batch.known_tokens[i] != frequencies_for) {
      frequencies_for = batch.known_tokens[i];
      inverse_frequencies_ = InverseFrequencies(config_.rope, frequencies_for);
    }
    WriteCosSin(config_.rope, inverse_frequencies_, batch.positions[i],
                std::span(host_cos_sin_).subspan(i * dim, dim));
  }
  return memory_.CopyFromHost(cos_sin_.as<float>(), host_cos_sin_.data(),
                              batch.positions.size() * dim * sizeof(float));
}

Status Decoder::Forward(const RaggedBatch& batch, const KvCache& cache) {
  DRAY_RETURN_IF_ERROR(Upload(batch));
  part_mode_ = WriteMode::kOverwrite;
  if (stage_.is_first()) DRAY_RETURN_IF_ERROR(EmbedTokens());
  for (int64_t layer = 0; layer < config_.num_layers; ++layer) {
    DRAY_RETURN_IF_ERROR(Layer(layer, cache));
  }
  return OkStatus();
}

Status Decoder::Layer(int64_t layer, const KvCache& cache) {
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
  FeedForwardIn(layer, before_projection(ffn_norm));
  AddFeedForwardOut(layer);
  return AddParts();
}

void Decoder::AttentionCore(int64_t layer, const VectorNorm* norm, const KvCache& cache) {
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
                              .num_tokens = num_tokens_,
                              .num_heads = config_.num_heads,
                              .query_norm = config_.qk_norm ? &query_norm : nullptr,
                              .key_norm = config_.qk_norm ? &key_norm : nullptr,
                              .style = config_.rope.style,
                              .rotary_dim = rotary ? config_.rope.dim : 0,
                              .cos_sin = rotary ? cos_sin_.as<float>() : nullptr,
                              .table_rows = indices_.rope_rows,
                              .slots = indices_.slots,
                              .cache = cache.Layer(layer)});
  ops_.Attention(
      {.q = RowsOf(qkv_),
       .out = RowsOf(attention_),
       .num_heads = config_.num_heads,
       .cache = cache.Layer(layer),
       .sequences = indices_.sequences,
       .num_sequences = num_sequences_,
       .block_tables = indices_.block_tables,
       .scale = config_.attention_scale[static_cast<size_t>(layer)],
       .alibi_slopes = config_.position == PositionKind::kAlibi ? alibi_.as<float>() : nullptr,
       .window = config_.window[static_cast<size_t>(layer)]});
}

void Decoder::AddAttentionOut(int64_t layer) {
  AddProjection(Projection(Slot::kAttentionOut, Slot::kAttentionOutBias, layer, attention_));
}

void Decoder::FeedForwardIn(int64_t layer, const VectorNorm* norm) {
  kernels::LinearArgs in = Projection(Slot::kFfnIn, Slot::kFfnInBias, layer, x_);
  in.norm = norm;
  in.activation = config_.activation;
  in.gated = config_.gated;
  in.out = RowsOf(ffn_);
  ops_.Linear(in);
}

void Decoder::AddFeedForwardOut(int64_t layer) {
  AddProjection(Projection(Slot::kFfnOut, Slot::kFfnOutBias, layer, ffn_));
}

void Decoder::AddProjection(const kernels::LinearArgs& projection) {
  kernels::LinearArgs out = projection;
  out.mode = WriteMode::kAdd;
  out.out = RowsOf(x_);
  if (communicator_ != nullptr) {
    out.mode = std::exchange(part_mode_, WriteMode::kAdd);
    out.out.data = communicator_->part();
  }
  ops_.Linear(out);
}

Status Decoder::AddParts() {
  if (communicator_ == nullptr) return OkStatus();
  part_mode_ = WriteMode::kOverwrite;
  return communicator_->AddParts(x_.as<float>(), num_tokens_ * config_.hidden);
}

VectorNorm Decoder::NormOf(Slot weight, Slot bias, int64_t layer) const {
  return {.kind = config_.norm,
          .weight = weights_.Vector(weight, layer),
          .bias = weights_.Vector(bias, layer),
          .eps = config_.norm_eps};
}

void Decoder::NormInPlace(const VectorNorm& norm) {
  ops_.Norm({.norm = norm,
             .x = RowsOf(x_),
             .out = RowsOf(x_),
             .rows = num_tokens_,
             .cols = config_.hidden});
}

kernels::LinearArgs Decoder::Projection(Slot weight, Slot bias, int64_t layer,
                                        const Tensor& in) const {
  return {.weight = weights_.Matrix(weight, layer),
          .x = RowsOf(in),
          .rows = num_tokens_,
          .bias = weights_.Vector(bias, layer)};
}

}  // namespace dray::model
