#include "model/forward/encoder.h"

#include <algorithm>
#include <numeric>
#include <utility>

#include "base/check.h"
#include "base/checked_math.h"
#include "model/forward/encoder_memory.h"

namespace dray::model {

void EncoderBatch::Clear() {
  ids.clear();
  types.clear();
  lengths.clear();
}

void EncoderBatch::Reserve(const EncoderLimits& limits) {
  ids.reserve(static_cast<size_t>(limits.max_batch_tokens));
  types.reserve(static_cast<size_t>(limits.max_batch_tokens));
  lengths.reserve(static_cast<size_t>(limits.max_texts));
}

Encoder::Encoder(const ForwardParts& parts, const EncoderLimits& limits)
    : model_config_(parts.config),
      config_(parts.stack),
      weights_(parts.weights),
      backend_(parts.backend),
      memory_(parts.backend.memory()),
      limits_(limits),
      stage_(parts.stage),
      num_blocks_(EncoderCacheSpec(limits).num_blocks) {}

Result<std::unique_ptr<Encoder>> Encoder::Make(const ForwardParts& parts,
                                               const EncoderLimits& limits) {
  DRAY_RETURN_IF_ERROR(CheckKind(parts.config, ModelKind::kEncoder));
  std::unique_ptr<Encoder> encoder(new Encoder(parts, limits));
  DRAY_RETURN_IF_ERROR(encoder->Allocate(parts));
  if (parts.config.classifier) DRAY_RETURN_IF_ERROR(encoder->AllocateClassifier());
  return encoder;
}

Status Encoder::Allocate(const ForwardParts& parts) {
  const int64_t tokens = limits_.max_batch_tokens, texts = limits_.max_texts;
  if (stage_.is_first()) {
    DRAY_ASSIGN_OR_RETURN(embedding_, TokenEmbedding::Make(parts, tokens));
  }
  DRAY_ASSIGN_OR_RETURN(stack_, LayerStack::Make(parts, tokens));
  DRAY_ASSIGN_OR_RETURN(cache_, KvCache::Make(backend_, config_, EncoderCacheSpec(limits_)));
  constexpr auto kSequenceWords =
      static_cast<int64_t>(sizeof(kernels::AttentionSequence) / sizeof(int32_t));
  DRAY_ASSIGN_OR_RETURN(
      index_memory_, Tensor::Make(memory_.allocator(), DType::kI32, {EncoderIndexWords(limits_)}));
  auto* next = index_memory_.as<int32_t>();
  const auto take = [&](int64_t count) { return std::exchange(next, next + count); };
  device_sequences_ = reinterpret_cast<kernels::AttentionSequence*>(take(texts * kSequenceWords));
  device_slots_ = take(tokens);
  class_rows_ = take(texts);
  blocks_ = take(num_blocks_);
  for (std::vector<int32_t>* list : {&positions_, &slots_}) {
    list->reserve(static_cast<size_t>(tokens));
  }
  sequences_.reserve(static_cast<size_t>(texts));
  std::vector<int32_t> blocks(static_cast<size_t>(num_blocks_));
  std::iota(blocks.begin(), blocks.end(), 0);
  return memory_.CopyFromHost(blocks_, blocks.data(), blocks.size() * sizeof(int32_t));
}

Status Encoder::AllocateClassifier() {
  const int64_t texts = limits_.max_texts;
  DRAY_ASSIGN_OR_RETURN(head_in_, MakeRows(memory_, texts, config_.hidden));
  DRAY_ASSIGN_OR_RETURN(dense_, MakeRows(memory_, texts, config_.hidden));
  DRAY_ASSIGN_OR_RETURN(class_outputs_,
                        MakeRows(memory_, texts, model_config_.classifier->num_labels()));
  return OkStatus();
}

void Encoder::AddText(std::span<const int32_t> ids, int64_t first_block) {
  const auto first_row = static_cast<int32_t>(slots_.size());
  const auto length = static_cast<int32_t>(ids.size());
  sequences_.push_back({first_row, length, length, static_cast<int32_t>(first_block)});
  int32_t position = 0;
  for (int32_t i = 0; i < length; ++i) {
    const bool is_placed = ids[static_cast<size_t>(i)] != config_.unplaced_token;
    positions_.push_back(is_placed ? position++ : -1);
    slots_.push_back(static_cast<int32_t>(first_block * cache_.spec().block_size) + i);
  }
}

Status Encoder::Upload(const EncoderBatch& batch) {
  DRAY_CHECK(static_cast<int64_t>(batch.ids.size()) <= limits_.max_batch_tokens);
  DRAY_CHECK(static_cast<int64_t>(batch.lengths.size()) <= limits_.max_texts);
  positions_.clear();
  slots_.clear();
  sequences_.clear();
  int64_t first_block = 0;
  for (const int32_t length : batch.lengths) {
    AddText(std::span(batch.ids).subspan(slots_.size(), static_cast<size_t>(length)), first_block);
    first_block += DivideRoundUp<int64_t>(length, cache_.spec().block_size);
  }
  const auto copy = [&](auto* to, const auto& from) {
    return memory_.CopyFromHost(to, from.data(), from.size() * sizeof(from[0]));
  };
  DRAY_RETURN_IF_ERROR(copy(device_sequences_, sequences_));
  return copy(device_slots_, slots_);
}

Status Encoder::Forward(const EncoderBatch& batch) {
  DRAY_RETURN_IF_ERROR(Upload(batch));
  if (embedding_ != nullptr) {
    const TokenInputs tokens = {.ids = batch.ids, .positions = positions_, .types = batch.types};
    DRAY_RETURN_IF_ERROR(embedding_->Run(tokens, stack_->x()));
  }
  const auto num_tokens = static_cast<int64_t>(slots_.size());
  DRAY_RETURN_IF_ERROR(stack_->Run({.num_tokens = num_tokens,
                                    .slots = device_slots_,
                                    .sequences = device_sequences_,
                                    .num_sequences = static_cast<int64_t>(sequences_.size()),
                                    .block_tables = blocks_},
                                   cache_));
  if (!config_.final_norm || !stage_.is_last()) return OkStatus();
  backend_.ops().Norm({.norm = MakeNorm(config_, weights_.stack(), Slot::kFinalNormWeight,
                                        Slot::kFinalNormBias, kNoLayer),
                       .x = RowsOf(states()),
                       .out = RowsOf(states()),
                       .rows = num_tokens,
                       .cols = config_.hidden});
  return OkStatus();
}

Status Encoder::States(std::span<float> out) {
  DRAY_CHECK(out.size() == slots_.size() * static_cast<size_t>(config_.hidden));
  return memory_.CopyToHost(out.data(), stack_->x().as<float>(), out.size_bytes());
}

Status Encoder::States(std::span<const int32_t> rows, std::span<float> out) {
  const auto hidden = static_cast<size_t>(config_.hidden);
  DRAY_CHECK(out.size() == rows.size() * hidden);
  for (size_t begin = 0; begin < rows.size();) {
    size_t end = begin + 1;
    while (end < rows.size() && rows[end] == rows[end - 1] + 1) ++end;
    const auto part = out.subspan(begin * hidden, (end - begin) * hidden);
    const float* const from = stack_->x().as<float>() + static_cast<size_t>(rows[begin]) * hidden;
    DRAY_RETURN_IF_ERROR(memory_.CopyToHost(part.data(), from, part.size_bytes()));
    begin = end;
  }
  return OkStatus();
}

Status Encoder::ClassOutputs(std::span<const int32_t> rows, std::span<float> out) {
  DRAY_CHECK(model_config_.classifier.has_value());
  const auto labels = static_cast<size_t>(model_config_.classifier->num_labels());
  DRAY_CHECK(out.size() == rows.size() * labels);
  const auto at_once = static_cast<size_t>(limits_.max_texts);
  for (size_t begin = 0; begin < rows.size(); begin += at_once) {
    const size_t count = std::min(at_once, rows.size() - begin);
    DRAY_RETURN_IF_ERROR(
        ClassifySome(rows.subspan(begin, count), out.subspan(begin * labels, count * labels)));
  }
  return OkStatus();
}

Status Encoder::ClassifySome(std::span<const int32_t> rows, std::span<float> out) {
  const auto num_rows = static_cast<int64_t>(rows.size());
  DRAY_RETURN_IF_ERROR(memory_.CopyFromHost(class_rows_, rows.data(), rows.size_bytes()));
  kernels::Ops& ops = backend_.ops();
  ops.GatherRows({.x = RowsOf(stack_->x()),
                  .rows = class_rows_,
                  .num_rows = num_rows,
                  .cols = config_.hidden,
                  .out = RowsOf(head_in_)});
  ops.Linear({.weight = weights_.Matrix(Slot::kClassifierDense),
              .x = RowsOf(head_in_),
              .rows = num_rows,
              .bias = weights_.Vector(Slot::kClassifierDenseBias),
              .activation = model_config_.classifier->activation,
              .out = RowsOf(dense_)});
  ops.Linear({.weight = weights_.Matrix(Slot::kClassifierOut),
              .x = RowsOf(dense_),
              .rows = num_rows,
              .bias = weights_.Vector(Slot::kClassifierOutBias),
              .out = RowsOf(class_outputs_)});
  return memory_.CopyToHost(out.data(), class_outputs_.as<float>(), out.size_bytes());
}

}  // namespace dray::model
