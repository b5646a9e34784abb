// How settings of the memory of a model's weights are read from text.
#pragma once

#include <cstdint>
#include <string_view>

#include "base/status.h"
#include "engine/engine_options.h"

namespace dray::settings {

// Bytes as of SetBytes, or Accelerate's JSON of one device, {"cpu": "8GiB"}. kInvalidArgument; the message says
// what the value must be.
Status SetMaxMemory(int64_t& out, std::string_view text);

// auto, map or copy; otherwise as SetMaxMemory.
Status SetArtifactMemory(engine::ArtifactMemory& out, std::string_view text);

}  // namespace dray::settings
