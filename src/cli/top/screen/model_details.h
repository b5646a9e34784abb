// All numbers of one model, for the lower part of the screen of `dray top`.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "cli/top/screen/screen.h"
#include "cli/top/server_view.h"

namespace dray::cli {

// Lines, the most important ones first, since a low terminal shows only those. `window_seconds`: over how long
// latencies were taken; nothing: since the model was loaded.
std::vector<std::string> DrawModelDetails(const ModelView& model,
                                          const std::optional<double>& window_seconds,
                                          const ScreenOptions& options);

}  // namespace dray::cli
