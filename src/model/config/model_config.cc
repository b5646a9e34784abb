#include "model/config/model_config.h"

#include <fmt/format.h>

#include <string_view>

#include "base/check.h"

namespace dray::model {

namespace {

std::string_view Describe(ModelKind kind) {
  switch (kind) {
    case ModelKind::kDecoder:
      return "decoders, which generate text and make no vectors or classes of it";
    case ModelKind::kEncoder:
      return "encoders, which make vectors or classes of texts and generate no text";
    case ModelKind::kEncoderDecoder:
      return "encoder-decoders, which answer a text by a text of their own";
  }
  return "";
}

}  // namespace

Status CheckKind(const ModelConfig& config, ModelKind wanted) {
  if (config.kind == wanted) return OkStatus();
  return {StatusCode::kUnsupported,
          fmt::format("{} models are {}", config.family, Describe(config.kind))};
}

ModelConfig EncoderOf(const ModelConfig& config) {
  DRAY_CHECK(config.encoder.has_value());
  ModelConfig encoder = config;
  encoder.kind = ModelKind::kEncoder;
  encoder.stack = *config.encoder;
  encoder.encoder.reset();
  // It has no head, so no head is its table.
  encoder.tied_head = false;
  encoder.head_scale = 1.0f;
  return encoder;
}

}  // namespace dray::model
