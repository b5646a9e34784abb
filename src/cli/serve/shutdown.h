// Waits for SIGTERM or SIGINT. main must call BlockShutdownSignals before it starts threads: they
// inherit the mask, so only the wait here gets the signals.
#pragma once

#include <optional>

#include "base/status.h"

namespace dray::cli {

void BlockShutdownSignals();
// From now on such a signal ends the process at once, for people who press Ctrl-C twice.
void RestoreShutdownSignals();

// Lets one thread wait for a shutdown signal or for another thread, whichever comes first.
class ShutdownWait {
 public:
  static Result<ShutdownWait> Make();
  ShutdownWait(ShutdownWait&& other) noexcept;
  ShutdownWait& operator=(ShutdownWait&&) = delete;
  ShutdownWait(const ShutdownWait&) = delete;
  ShutdownWait& operator=(const ShutdownWait&) = delete;
  ~ShutdownWait();

  // Sleeps until a shutdown signal arrives, and returns its number; or until Wake was called since
  // the last Wait, and returns nothing.
  std::optional<int> Wait();
  // From any thread.
  void Wake() const;

 private:
  ShutdownWait(int signals_fd, int wake_fd) : signals_fd_(signals_fd), wake_fd_(wake_fd) {}

  int signals_fd_;
  int wake_fd_;
};

}  // namespace dray::cli
