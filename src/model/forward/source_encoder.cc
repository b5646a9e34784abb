#include "model/forward/source_encoder.h"

namespace dray::model {

void SourceBatch::Clear() {
  texts.Clear();
  slots.clear();
}

void SourceBatch::Reserve(const EncoderLimits& limits) {
  texts.Reserve(limits);
  slots.reserve(static_cast<size_t>(limits.max_batch_tokens));
}

SourceEncoder::SourceEncoder(const ForwardParts& decoder)
    : config_(decoder.stack),
      weights_(decoder.weights.stack()),
      memory_(decoder.backend.memory()),
      ops_(decoder.backend.ops()) {}

Result<std::unique_ptr<SourceEncoder>> SourceEncoder::Make(const ForwardParts& encoder,
                                                           const ForwardParts& decoder,
                                                           const EncoderLimits& limits) {
  std::unique_ptr<SourceEncoder> made(new SourceEncoder(decoder));
  DRAY_RETURN_IF_ERROR(made->Allocate(encoder, limits));
  return made;
}

Status SourceEncoder::Allocate(const ForwardParts& encoder, const EncoderLimits& limits) {
  const int64_t tokens = limits.max_batch_tokens;
  DRAY_ASSIGN_OR_RETURN(encoder_, Encoder::Make(encoder, limits));
  DRAY_ASSIGN_OR_RETURN(keys_and_values_, MakeRows(memory_, tokens, 2 * config_.kv_width()));
  DRAY_ASSIGN_OR_RETURN(device_slots_, Tensor::Make(memory_.allocator(), DType::kI32, {tokens}));
  return OkStatus();
}

Status SourceEncoder::Store(const SourceBatch& batch, const KvCache& cache) {
  DRAY_RETURN_IF_ERROR(memory_.CopyFromHost(device_slots_.as<int32_t>(), batch.slots.data(),
                                            batch.slots.size() * sizeof(int32_t)));
  const auto num_tokens = static_cast<int64_t>(batch.slots.size());
  for (int64_t layer = 0; layer < config_.num_layers; ++layer) {
    ops_.QkvLinear({.weight = weights_.Matrix(Slot::kCrossKeyValue, layer),
                    .x = RowsOf(encoder_->states()),
                    .rows = num_tokens,
                    .out = RowsOf(keys_and_values_)},
                   {.qkv = RowsOf(keys_and_values_),
                    .num_tokens = num_tokens,
                    .num_heads = 0,
                    .slots = device_slots_.as<int32_t>(),
                    .cache = cache.Layer(layer)});
  }
  return OkStatus();
}

}  // namespace dray::model
