// How a process finds the front that has not started it by itself: those that mpirun starts inherit
// no descriptors. The front listens on a socket of this machine with a random name, and tells the
// name and a random secret to the processes by their environment. It takes only processes of its own
// user that know both.
#pragma once

#include <optional>
#include <string>
#include <string_view>

#include "base/status.h"
#include "parallel/processes/control_socket.h"

namespace dray::parallel {

class FrontListener {
 public:
  // kResourceExhausted if the system refuses a socket.
  static Result<FrontListener> Make();

  // What a process must know to connect: name and secret.
  const std::string& address() const { return address_; }
  int descriptor() const { return socket_.value(); }
  // A process that has connected; nothing if none waits, or if it is another user's.
  std::optional<ControlSocket> Accept() const;

 private:
  FrontListener(Descriptor socket, std::string address)
      : socket_(std::move(socket)), address_(std::move(address)) {}

  Descriptor socket_;
  std::string address_;
};

// Connects to the front with that address. kNotFound if there is none on this machine.
Result<ControlSocket> ConnectToFront(std::string_view address);
// The secret of an address, by which the front knows its processes.
std::string_view SecretOf(std::string_view address);

}  // namespace dray::parallel
