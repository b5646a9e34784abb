// What `dray top --once` prints.
#pragma once

#include <string>

#include "cli/top/server_view.h"

namespace dray::cli {

// A heading `server URL` and one `model NAME [VERSION]` for each model, with lines `  key value` below each, for people
// and for scripts alike. Times are in seconds, sizes in bytes, rates in numbers a second; a latency of which nothing
// is known is `-`. Latencies are those since the model was loaded.
std::string WriteReport(const ServerView& view, const std::string& url);

}  // namespace dray::cli
