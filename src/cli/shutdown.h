// Waits for SIGTERM or SIGINT. main must call BlockShutdownSignals before it starts threads: they
// inherit the mask, so only the wait here gets the signals.
#pragma once

namespace dray::cli {

void BlockShutdownSignals();
// Sleeps until one of the signals arrives, and returns its number.
int WaitForShutdownSignal();
// From now on such a signal ends the process at once, for people who press Ctrl-C twice.
void RestoreShutdownSignals();

}  // namespace dray::cli
