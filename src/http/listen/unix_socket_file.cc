#include "http/listen/unix_socket_file.h"

#include <fmt/format.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <utility>

namespace dray::http {
namespace {

Status CannotListen(const std::string& path, std::string_view why) {
  return {StatusCode::kIo, fmt::format("cannot listen on unix:{}: {}", path, why)};
}

// A socket that is closed at the end.
struct OpenSocket {
  explicit OpenSocket(int flags = 0)
      : fd(::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | flags, 0)) {}
  OpenSocket(const OpenSocket&) = delete;
  OpenSocket& operator=(const OpenSocket&) = delete;
  ~OpenSocket() {
    if (fd >= 0) ::close(fd);
  }
  int fd;
};

// Removes the socket that a server left behind when it was killed.
Status RemoveStaleFile(const std::string& path, const sockaddr_un& address) {
  struct stat file = {};
  if (::lstat(path.c_str(), &file) != 0) return OkStatus();
  if (!S_ISSOCK(file.st_mode)) {
    return CannotListen(path,
                        "the file is there and is no socket; remove it or choose another path");
  }
  // A server that accepts nobody would hold up a socket that blocks.
  const OpenSocket probe(SOCK_NONBLOCK);
  const auto* const name = reinterpret_cast<const sockaddr*>(&address);
  if (::connect(probe.fd, name, sizeof(address)) == 0 || errno != ECONNREFUSED) {
    return CannotListen(path, "another server listens there; end it or choose another path");
  }
  ::unlink(path.c_str());
  return OkStatus();
}

}  // namespace

Result<UnixSocketFile> UnixSocketFile::Listen(const std::string& path) {
  sockaddr_un address = {};
  address.sun_family = AF_UNIX;
  if (path.size() >= sizeof(address.sun_path)) {
    return CannotListen(path, fmt::format("the path has {} bytes, and a socket's may have {}",
                                          path.size(), sizeof(address.sun_path) - 1));
  }
  std::memcpy(address.sun_path, path.data(), path.size());
  DRAY_RETURN_IF_ERROR(RemoveStaleFile(path, address));
  OpenSocket socket;
  // The file takes its mode from the socket, so that it is never open to others, not even for a moment.
  constexpr mode_t kOwnerOnly = 0600;
  if (socket.fd < 0 || ::fchmod(socket.fd, kOwnerOnly) != 0 ||
      ::bind(socket.fd, reinterpret_cast<const sockaddr*>(&address), sizeof(address)) != 0) {
    return CannotListen(path, std::strerror(errno));
  }
  UnixSocketFile out;
  out.path_ = path;
  struct stat file = {};
  if (::lstat(path.c_str(), &file) != 0 || ::listen(socket.fd, SOMAXCONN) != 0) {
    return CannotListen(path, std::strerror(errno));
  }
  out.device_ = file.st_dev;
  out.inode_ = file.st_ino;
  out.socket_ = std::exchange(socket.fd, -1);
  return out;
}

UnixSocketFile::UnixSocketFile(UnixSocketFile&& other) noexcept { *this = std::move(other); }

UnixSocketFile& UnixSocketFile::operator=(UnixSocketFile&& other) noexcept {
  std::swap(path_, other.path_);
  std::swap(socket_, other.socket_);
  std::swap(device_, other.device_);
  std::swap(inode_, other.inode_);
  return *this;
}

UnixSocketFile::~UnixSocketFile() {
  if (socket_ >= 0) ::close(socket_);
  Remove();
}

int UnixSocketFile::ReleaseSocket() { return std::exchange(socket_, -1); }

void UnixSocketFile::Remove() {
  if (path_.empty()) return;
  struct stat file = {};
  const bool is_ours =
      ::lstat(path_.c_str(), &file) == 0 && file.st_dev == device_ && file.st_ino == inode_;
  if (is_ours) ::unlink(path_.c_str());
  path_.clear();
}

}  // namespace dray::http
