#include "model/forward/decoder.h"

#include <algorithm>
#include <utility>

#include "base/check.h"
#include "base/checked_math.h"
#include "model/forward/rope.h"

namespace dray::model {

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

Decoder::Decoder(const ForwardParts& parts, const DecoderLimits& limits)
    : model_config_(parts.config),
      config_(parts.stack),
      weights_(parts.weights),
      memory_(parts.backend.memory()),
      ops_(parts.backend.ops()),
      communicator_(parts.communicator),
      rank_(communicator_ != nullptr ? communicator_->rank() : parallel::Rank{}),
      stage_(parts.stage),
      vocab_rows_(parallel::CutVocabulary(parts.config.vocab_size, rank_).local_size),
      limits_(limits) {}

Result<std::unique_ptr<Decoder>> Decoder::Make(const ForwardParts& parts,
                                               const DecoderLimits& limits) {
  if (parts.config.kind != ModelKind::kEncoderDecoder) {
    DRAY_RETURN_IF_ERROR(CheckKind(parts.config, ModelKind::kDecoder));
  }
  std::unique_ptr<Decoder> decoder(new Decoder(parts, limits));
  if (decoder->communicator_ != nullptr) {
    DRAY_CHECK(decoder->communicator_->max_count() >=
               MaxCount(parts.config, limits, decoder->rank_.world));
  }
  DRAY_RETURN_IF_ERROR(decoder->Allocate(parts));
  if (parts.stage.is_last()) DRAY_RETURN_IF_ERROR(decoder->AllocateHead());
  DRAY_RETURN_IF_ERROR(decoder->AllocateIndices());
  return decoder;
}

int64_t Decoder::MaxCount(const ModelConfig& config, const DecoderLimits& limits, int64_t world) {
  const int64_t sum = limits.max_batch_tokens * std::max(config.stack.hidden, config.embed_dim);
  if (config.kind == ModelKind::kEncoder) return sum;
  const int64_t vocab_rows = parallel::CutVocabulary(config.vocab_size, {0, world}).local_size;
  return std::max(sum, limits.max_logit_rows * vocab_rows);
}

Status Decoder::Allocate(const ForwardParts& parts) {
  const int64_t tokens = limits_.max_batch_tokens;
  DRAY_ASSIGN_OR_RETURN(stack_, LayerStack::Make(parts, tokens));
  if (stage_.is_first()) {
    DRAY_ASSIGN_OR_RETURN(embedding_, TokenEmbedding::Make(parts, tokens));
  }
  if (config_.position != PositionKind::kRotary) return OkStatus();
  DRAY_ASSIGN_OR_RETURN(cos_sin_, MakeRows(memory_, tokens, config_.rope.dim));
  host_cos_sin_.resize(static_cast<size_t>(tokens * config_.rope.dim));
  inverse_frequencies_ = InverseFrequencies(config_.rope, 0);
  for (int64_t i = 0; i < tokens; ++i) rope_rows_.push_back(static_cast<int32_t>(i));
  return OkStatus();
}

Status Decoder::AllocateIndices() {
  static_assert(sizeof(kernels::AttentionSequence) % sizeof(int32_t) == 0);
  constexpr auto kSequenceWords =
      static_cast<int64_t>(sizeof(kernels::AttentionSequence) / sizeof(int32_t));
  const int64_t tokens = limits_.max_batch_tokens;
  const int64_t words = 2 * tokens + limits_.max_table_entries + limits_.max_logit_rows +
                        2 * limits_.max_sequences * kSequenceWords;
  DRAY_ASSIGN_OR_RETURN(index_memory_, Tensor::Make(memory_.allocator(), DType::kI32, {words}));
  auto* next = index_memory_.as<int32_t>();
  const auto take = [&](int64_t count) { return std::exchange(next, next + count); };
  for (kernels::AttentionSequence** list : {&indices_.sequences, &indices_.cross_sequences}) {
    *list =
        reinterpret_cast<kernels::AttentionSequence*>(take(limits_.max_sequences * kSequenceWords));
  }
  cross_sequences_.reserve(static_cast<size_t>(limits_.max_sequences));
  indices_.slots = take(tokens);
  indices_.rope_rows = take(tokens);
  indices_.block_tables = take(limits_.max_table_entries);
  indices_.logit_rows = take(limits_.max_logit_rows);
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
  DRAY_RETURN_IF_ERROR(copy(indices_.slots, batch.slots));
  DRAY_RETURN_IF_ERROR(copy(indices_.block_tables, batch.block_tables));
  DRAY_RETURN_IF_ERROR(copy(indices_.sequences, batch.sequences));
  if (config_.cross_attention) DRAY_RETURN_IF_ERROR(UploadCrossSequences(batch));
  return config_.position == PositionKind::kRotary ? UploadRope(batch) : OkStatus();
}

Status Decoder::UploadCrossSequences(const RaggedBatch& batch) {
  cross_sequences_.clear();
  for (kernels::AttentionSequence cross : batch.sequences) {
    cross.context_tokens = std::exchange(cross.first_token, 0);
    cross_sequences_.push_back(cross);
  }
  return memory_.CopyFromHost(indices_.cross_sequences, cross_sequences_.data(),
                              cross_sequences_.size() * sizeof(cross_sequences_[0]));
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
  if (embedding_ != nullptr) {
    const TokenInputs tokens = {.ids = batch.ids, .positions = batch.positions};
    DRAY_RETURN_IF_ERROR(embedding_->Run(tokens, stack_->x()));
  }
  const bool rotary = config_.position == PositionKind::kRotary;
  return stack_->Run({.num_tokens = num_tokens_,
                      .slots = indices_.slots,
                      .cos_sin = rotary ? cos_sin_.as<float>() : nullptr,
                      .rope_rows = indices_.rope_rows,
                      .sequences = indices_.sequences,
                      .num_sequences = num_sequences_,
                      .block_tables = indices_.block_tables,
                      .cross_sequences = indices_.cross_sequences},
                     cache);
}

}  // namespace dray::model
