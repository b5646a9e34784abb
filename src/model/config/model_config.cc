#include "model/config/model_config.h"

#include <fmt/format.h>

namespace dray::model {

Status CheckKind(const ModelConfig& config, ModelKind wanted) {
  if (config.kind == wanted) return OkStatus();
  const std::string_view reason =
      wanted == ModelKind::kDecoder
          ? "encoders, which make vectors or classes of texts and generate no text"
          : "decoders, which generate text and make no vectors or classes of it";
  return {StatusCode::kUnsupported, fmt::format("{} models are {}", config.family, reason)};
}

}  // namespace dray::model
