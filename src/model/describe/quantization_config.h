// What a model's files say of weights that are integers already: quantization_config of
// config.json, or quantize_config.json, which older tools wrote instead.
#pragma once

#include <optional>
#include <string>

#include "base/status.h"
#include "checkpoint/integers/packed_linear.h"
#include "model/config/config_reader.h"

namespace dray::model {

// Nothing if the configuration has no such key. Refuses, naming key and value, methods and layouts
// that dray does not read: it reads gptq (checkpoint formats gptq and gptq_v2, 4 and 8 bits) and
// awq (version gemm, 4 bits).
Result<std::optional<checkpoint::PackedFormat>> ReadQuantizationConfig(ConfigReader& reader);

// The same from a parsed quantize_config.json, `where` in errors; it is never nothing.
Result<std::optional<checkpoint::PackedFormat>> ReadQuantizeConfig(const std::string& where,
                                                                   const Json& quantize_config);

}  // namespace dray::model
