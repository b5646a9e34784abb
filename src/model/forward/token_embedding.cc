#include "model/forward/token_embedding.h"

#include <utility>

#include "base/check.h"

namespace dray::model {

using kernels::WriteMode;

TokenEmbedding::TokenEmbedding(const ForwardParts& parts, int64_t max_tokens)
    : model_config_(parts.config),
      config_(parts.stack),
      weights_(parts.weights),
      tables_(parts.tables != nullptr ? *parts.tables : parts.weights),
      memory_(parts.backend.memory()),
      ops_(parts.backend.ops()),
      communicator_(parts.communicator),
      rank_(communicator_ != nullptr ? communicator_->rank() : parallel::Rank{}),
      vocab_rows_(parallel::CutVocabulary(parts.config.vocab_size, rank_).local_size),
      max_tokens_(max_tokens) {}

Result<std::unique_ptr<TokenEmbedding>> TokenEmbedding::Make(const ForwardParts& parts,
                                                             int64_t max_tokens) {
  std::unique_ptr<TokenEmbedding> embedding(new TokenEmbedding(parts, max_tokens));
  DRAY_RETURN_IF_ERROR(embedding->Allocate());
  return embedding;
}

Status TokenEmbedding::Allocate() {
  if (weights_.Matrix(Slot::kProjectIn) != nullptr) {
    DRAY_ASSIGN_OR_RETURN(embedded_, MakeRows(memory_, max_tokens_, model_config_.embed_dim));
  }
  constexpr int64_t kArrays = 4;
  DRAY_ASSIGN_OR_RETURN(index_memory_,
                        Tensor::Make(memory_.allocator(), DType::kI32, {kArrays * max_tokens_}));
  auto* next = index_memory_.as<int32_t>();
  for (int32_t** array : {&ids_, &no_ids_, &positions_, &types_}) {
    *array = std::exchange(next, next + max_tokens_);
  }
  position_rows_.reserve(static_cast<size_t>(max_tokens_));
  table_rows_.assign(static_cast<size_t>(max_tokens_), -1);
  return memory_.CopyFromHost(no_ids_, table_rows_.data(), table_rows_.size() * sizeof(int32_t));
}

Status TokenEmbedding::Upload(const TokenInputs& tokens) {
  num_tokens_ = static_cast<int64_t>(tokens.ids.size());
  DRAY_CHECK(num_tokens_ <= max_tokens_);
  const auto copy = [&](int32_t* to, std::span<const int32_t> from) {
    return memory_.CopyFromHost(to, from.data(), from.size_bytes());
  };
  const auto first_row = static_cast<int32_t>(rank_.index * vocab_rows_);
  const auto num_rows = static_cast<int32_t>(vocab_rows_);
  table_rows_.clear();
  for (const int32_t id : tokens.ids) {
    const int32_t row = id - first_row;
    table_rows_.push_back(row >= 0 && row < num_rows ? row : -1);
  }
  DRAY_RETURN_IF_ERROR(copy(ids_, table_rows_));
  if (config_.position == PositionKind::kLearned) {
    position_rows_.clear();
    for (const int32_t position : tokens.positions) {
      position_rows_.push_back(position + static_cast<int32_t>(config_.position_offset));
    }
    DRAY_RETURN_IF_ERROR(copy(positions_, position_rows_));
  }
  if (config_.num_token_types == 0) return OkStatus();
  DRAY_CHECK(tokens.types.size() == tokens.ids.size());
  return copy(types_, tokens.types);
}

Status TokenEmbedding::Run(const TokenInputs& tokens, const Tensor& x) {
  DRAY_RETURN_IF_ERROR(Upload(tokens));
  const kernels::WeightMatrix* project = weights_.Matrix(Slot::kProjectIn);
  const kernels::Activations embedded = RowsOf(project != nullptr ? embedded_ : x);
  DRAY_RETURN_IF_ERROR(ReadTable(embedded));
  if (project != nullptr) {
    ops_.Linear({.weight = project, .x = embedded, .rows = num_tokens_, .out = RowsOf(x)});
  }
  if (config_.position == PositionKind::kLearned) AddRows(Slot::kPositionEmbedding, positions_, x);
  if (config_.num_token_types > 0) AddRows(Slot::kTokenTypeEmbedding, types_, x);
  if (config_.embedding_norm) {
    ops_.Norm({.norm = MakeNorm(config_, weights_.stack(), Slot::kEmbeddingNormWeight,
                                Slot::kEmbeddingNormBias, kNoLayer),
               .x = RowsOf(x),
               .out = RowsOf(x),
               .rows = num_tokens_,
               .cols = config_.hidden});
  }
  return OkStatus();
}

void TokenEmbedding::AddRows(Slot table, const int32_t* rows, const Tensor& x) {
  ops_.Embed({.table = weights_.Matrix(table),
              .ids = rows,
              .num_tokens = num_tokens_,
              .out = RowsOf(x),
              .mode = WriteMode::kAdd});
}

Status TokenEmbedding::ReadTable(const kernels::Activations& out) {
  kernels::EmbedArgs args = {.table = tables_.Matrix(Slot::kTokenEmbedding),
                             .ids = ids_,
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
  args.ids = no_ids_;
  args.out = out;
  ops_.Embed(args);
  return communicator_->AddParts(out.as<float>(), num_tokens_ * out.stride);
}

}  // namespace dray::model
