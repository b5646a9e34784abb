// Waiting for SIGTERM or SIGINT. Block comes first thing in main, so that every thread inherits the
// mask and the signals arrive here alone.
#pragma once

namespace dray::cli {

void BlockShutdownSignals();
// Sleeps until one arrives; its number.
int WaitForShutdownSignal();
// From now on another one ends the process at once: for people who press Ctrl-C twice.
void RestoreShutdownSignals();

}  // namespace dray::cli
