// What a model's files say about weights that are stored as integers: quantization_config in
// config.json, or quantize_config.json, which older tools wrote instead.
#pragma once

#include <optional>
#include <string>

#include "base/status.h"
#include "checkpoint/integers/packed_linear.h"
#include "model/config/config_reader.h"

namespace dray::model {

// Returns nothing if the configuration has no such key. Refuses methods and layouts that dray
// cannot read; the error names key and value. dray reads gptq (checkpoint formats gptq and gptq_v2,
// 4 and 8 bits) and awq (version gemm, 4 bits).
Result<std::optional<checkpoint::PackedFormat>> ReadQuantizationConfig(ConfigReader& reader);

// Does the same with a parsed quantize_config.json, which `where` names in errors. Never returns
// nothing.
Result<std::optional<checkpoint::PackedFormat>> ReadQuantizeConfig(const std::string& where,
                                                                   const Json& quantize_config);

}  // namespace dray::model
