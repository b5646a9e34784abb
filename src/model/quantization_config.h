// What config.json says of weights that are integers already: quantization_config.
#pragma once

#include <optional>

#include "base/status.h"
#include "checkpoint/packed_linear.h"
#include "model/config_reader.h"

namespace dray::model {

// Nothing if the configuration has no such key. Refuses, naming key and value, methods and layouts
// that dray does not read: it reads gptq (checkpoint formats gptq and gptq_v2, 4 and 8 bits) and
// awq (version gemm, 4 bits).
Result<std::optional<checkpoint::PackedFormat>> ReadQuantizationConfig(ConfigReader& reader);

}  // namespace dray::model
