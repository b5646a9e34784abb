// A rank's signs of life.
#pragma once

#include <atomic>
#include <thread>

#include "parallel/processes/control_socket.h"

namespace dray::engine {

// The exit code of a rank whose front has ended.
inline constexpr int kExitWithoutFront = 2;

// Tells the front that this process lives, and ends the process when the front has ended, whatever
// the process does. A process that is stopped by a signal gives no sign.
//
// Threads: owns one.
class Pulse {
 public:
  // `front` must outlive this object.
  explicit Pulse(const parallel::ControlSocket& front);
  Pulse(const Pulse&) = delete;
  Pulse& operator=(const Pulse&) = delete;
  ~Pulse();

 private:
  std::atomic<bool> stop_{false};
  std::thread thread_;
};

}  // namespace dray::engine
