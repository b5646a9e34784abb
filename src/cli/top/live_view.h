// `dray top` on a terminal: asks the server again and again, draws, and reads keys until the user quits.
//
// Threads: owns none; RunLiveView does everything on the caller's thread.
#pragma once

#include <string>

#include "base/status.h"
#include "cli/top/server_poller.h"

namespace dray::cli {

struct LiveViewOptions {
  ServerTarget target;
  // As it is shown.
  std::string url;
  // Between an answer of the server and the next question.
  double interval_seconds = 1;
};

// Returns when the user presses q, or when SIGINT, SIGTERM or SIGHUP comes; the terminal is then as it was before.
// While the server does not answer, says so and asks again. Fails only if there is no terminal.
Status RunLiveView(const LiveViewOptions& options);

}  // namespace dray::cli
