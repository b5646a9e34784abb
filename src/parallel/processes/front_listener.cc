#include "parallel/processes/front_listener.h"

#include <fmt/format.h>
#include <sys/random.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstddef>
#include <cstring>

namespace dray::parallel {
namespace {

// 128 bits: nobody guesses them.
constexpr size_t kRandomBytes = 16;
constexpr int kBacklog = 64;

Result<std::string> RandomText() {
  std::array<unsigned char, kRandomBytes> bytes = {};
  if (::getrandom(bytes.data(), bytes.size(), 0) != static_cast<ssize_t>(bytes.size())) {
    return Status(StatusCode::kIo, "the system gives no random numbers");
  }
  std::string text;
  for (const unsigned char byte : bytes) text += fmt::format("{:02x}", byte);
  return text;
}

// An address in Linux's abstract namespace: there is no file, and the name goes with the socket.
struct AbstractAddress {
  explicit AbstractAddress(std::string_view name) {
    address.sun_family = AF_UNIX;
    const size_t length = std::min(name.size(), sizeof(address.sun_path) - 1);
    std::memcpy(address.sun_path + 1, name.data(), length);
    size = static_cast<socklen_t>(offsetof(sockaddr_un, sun_path) + 1 + length);
  }
  const sockaddr* get() const { return reinterpret_cast<const sockaddr*>(&address); }

  sockaddr_un address = {};
  socklen_t size = 0;
};

std::string_view NameOf(std::string_view address) { return address.substr(0, address.find(':')); }

Descriptor MakeSocket(int flags) {
  return Descriptor(::socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC | flags, 0));
}

}  // namespace

Result<FrontListener> FrontListener::Make() {
  DRAY_ASSIGN_OR_RETURN(const std::string name, RandomText());
  DRAY_ASSIGN_OR_RETURN(const std::string secret, RandomText());
  const std::string address = fmt::format("dray-{}:{}", name, secret);
  Descriptor socket = MakeSocket(SOCK_NONBLOCK);
  const AbstractAddress bound(NameOf(address));
  if (socket.value() < 0 || ::bind(socket.value(), bound.get(), bound.size) != 0 ||
      ::listen(socket.value(), kBacklog) != 0) {
    return Status(
        StatusCode::kResourceExhausted,
        fmt::format("cannot listen for the processes of ranks: {}", std::strerror(errno)));
  }
  return FrontListener(std::move(socket), address);
}

std::optional<ControlSocket> FrontListener::Accept() const {
  Descriptor socket(::accept4(socket_.value(), nullptr, nullptr, SOCK_CLOEXEC));
  ucred peer = {};
  socklen_t size = sizeof(peer);
  if (socket.value() < 0 ||
      ::getsockopt(socket.value(), SOL_SOCKET, SO_PEERCRED, &peer, &size) != 0 ||
      peer.uid != ::geteuid()) {
    return std::nullopt;
  }
  return ControlSocket(std::move(socket));
}

Result<ControlSocket> ConnectToFront(std::string_view address) {
  Descriptor socket = MakeSocket(0);
  const AbstractAddress front(NameOf(address));
  if (socket.value() < 0 || ::connect(socket.value(), front.get(), front.size) != 0) {
    return Status(
        StatusCode::kNotFound,
        fmt::format("there is no front of this group on this machine: {}", std::strerror(errno)));
  }
  return ControlSocket(std::move(socket));
}

std::string_view SecretOf(std::string_view address) {
  const size_t colon = address.find(':');
  return colon == std::string_view::npos ? std::string_view() : address.substr(colon + 1);
}

}  // namespace dray::parallel
