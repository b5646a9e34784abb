// How the settings of a model's ranks are read from text.
#pragma once

#include <cstdint>
#include <string_view>

#include "base/status.h"
#include "engine/engine_options.h"

namespace dray::settings {

// A number of ranks or stages, or max (engine::LoadModelOptions::kMaxDegree). kInvalidArgument; the
// message says what the value must be.
Status SetDegree(int64_t& out, std::string_view text);
// threads, processes or mpi; otherwise as SetDegree.
Status SetRankTransport(engine::RankTransport& out, std::string_view text);

}  // namespace dray::settings
