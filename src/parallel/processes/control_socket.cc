#include "parallel/processes/control_socket.h"

#include <fmt/format.h>
#include <poll.h>
#include <sys/socket.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <cstring>

namespace dray::parallel {
namespace {

constexpr size_t kAncillaryBytes = CMSG_SPACE(ControlSocket::kMaxDescriptors * sizeof(int));

Status HasEnded(std::string_view what) {
  return {StatusCode::kUnavailable, fmt::format("{}: the other process has ended", what)};
}

// Sends `bytes` and `descriptors`; 0, or the error's number.
int SendWith(int socket, std::span<const std::byte> bytes, std::span<const int> descriptors,
             int flags) {
  iovec part = {const_cast<std::byte*>(bytes.data()), bytes.size()};
  msghdr message = {};
  message.msg_iov = &part;
  message.msg_iovlen = 1;
  alignas(cmsghdr) std::array<std::byte, kAncillaryBytes> ancillary = {};
  if (!descriptors.empty()) {
    message.msg_control = ancillary.data();
    message.msg_controllen = CMSG_SPACE(descriptors.size_bytes());
    cmsghdr* const header = CMSG_FIRSTHDR(&message);
    header->cmsg_level = SOL_SOCKET;
    header->cmsg_type = SCM_RIGHTS;
    header->cmsg_len = CMSG_LEN(descriptors.size_bytes());
    std::memcpy(CMSG_DATA(header), descriptors.data(), descriptors.size_bytes());
  }
  ssize_t sent = 0;
  do {
    sent = ::sendmsg(socket, &message, MSG_NOSIGNAL | flags);
  } while (sent < 0 && errno == EINTR);
  return sent < 0 ? errno : 0;
}

// Takes over the descriptors that came with a message.
std::vector<Descriptor> TakeDescriptors(msghdr& message) {
  std::vector<Descriptor> descriptors;
  for (cmsghdr* header = CMSG_FIRSTHDR(&message); header != nullptr;
       header = CMSG_NXTHDR(&message, header)) {
    if (header->cmsg_level != SOL_SOCKET || header->cmsg_type != SCM_RIGHTS) continue;
    const size_t count = (header->cmsg_len - CMSG_LEN(0)) / sizeof(int);
    for (size_t i = 0; i < count; ++i) {
      int value = -1;
      std::memcpy(&value, CMSG_DATA(header) + i * sizeof(int), sizeof(int));
      descriptors.emplace_back(value);
    }
  }
  return descriptors;
}

}  // namespace

Descriptor::~Descriptor() {
  if (value_ >= 0) ::close(value_);
}

Result<std::pair<ControlSocket, ControlSocket>> ControlSocket::MakePair() {
  std::array<int, 2> ends = {};
  if (::socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, ends.data()) != 0) {
    return Status(StatusCode::kResourceExhausted,
                  fmt::format("cannot make a socket for a rank's process: {}; raise the process's "
                              "limit of open files (ulimit -n)",
                              std::strerror(errno)));
  }
  return std::pair(ControlSocket(Descriptor(ends[0])), ControlSocket(Descriptor(ends[1])));
}

Status ControlSocket::Send(std::span<const std::byte> bytes,
                           std::span<const int> descriptors) const {
  if (bytes.size() > kMaxBytes || descriptors.size() > kMaxDescriptors) {
    return {StatusCode::kInvalidArgument,
            fmt::format("a message of {} bytes with {} descriptors to a rank's process: at most {} "
                        "bytes and {} descriptors are allowed",
                        bytes.size(), descriptors.size(), kMaxBytes, kMaxDescriptors)};
  }
  const int error = SendWith(descriptor_.value(), bytes, descriptors, 0);
  if (error == 0) return OkStatus();
  return HasEnded(std::strerror(error));
}

bool ControlSocket::TrySend(std::span<const std::byte> bytes) const {
  return SendWith(descriptor_.value(), bytes, {}, MSG_DONTWAIT) == 0;
}

Result<ControlMessage> ControlSocket::Receive() const {
  ControlMessage received;
  received.bytes.resize(kMaxBytes);
  iovec part = {received.bytes.data(), received.bytes.size()};
  alignas(cmsghdr) std::array<std::byte, kAncillaryBytes> ancillary = {};
  msghdr message = {};
  message.msg_iov = &part;
  message.msg_iovlen = 1;
  message.msg_control = ancillary.data();
  message.msg_controllen = ancillary.size();
  ssize_t size = 0;
  do {
    size = ::recvmsg(descriptor_.value(), &message, MSG_CMSG_CLOEXEC);
  } while (size < 0 && errno == EINTR);
  if (size < 0) return HasEnded(std::strerror(errno));
  received.descriptors = TakeDescriptors(message);
  if (size == 0) return HasEnded("no more messages");
  if ((message.msg_flags & (MSG_TRUNC | MSG_CTRUNC)) != 0) {
    return Status(StatusCode::kCorrupt,
                  fmt::format("a control message of more than {} bytes or {} descriptors",
                              kMaxBytes, kMaxDescriptors));
  }
  received.bytes.resize(static_cast<size_t>(size));
  return received;
}

bool ControlSocket::AwaitMessage(int timeout_ms) const {
  pollfd waiting = {.fd = descriptor_.value(), .events = POLLIN, .revents = 0};
  return ::poll(&waiting, 1, timeout_ms) > 0;
}

bool ControlSocket::AwaitPeerEnd(int timeout_ms) const {
  pollfd waiting = {.fd = descriptor_.value(), .events = POLLRDHUP, .revents = 0};
  return ::poll(&waiting, 1, timeout_ms) > 0;
}

}  // namespace dray::parallel
