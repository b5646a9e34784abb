// The file of a Unix socket on which a server listens.
#pragma once

#include <sys/types.h>

#include <string>

#include "base/status.h"

namespace dray::http {

// Movable. At its end, the file is removed.
class UnixSocketFile {
 public:
  UnixSocketFile() = default;
  // Makes a socket at `path` that only this user can connect to (mode 0600), and listens on it. Replaces a
  // socket on which nobody listens any more. kIo if the path is too long, is in use by another server, or
  // is something other than a socket.
  static Result<UnixSocketFile> Listen(const std::string& path);
  UnixSocketFile(UnixSocketFile&& other) noexcept;
  UnixSocketFile& operator=(UnixSocketFile&& other) noexcept;
  UnixSocketFile(const UnixSocketFile&) = delete;
  UnixSocketFile& operator=(const UnixSocketFile&) = delete;
  ~UnixSocketFile();

  // The listening socket; from now on it is the caller's to close.
  int ReleaseSocket();
  // Removes the file, unless another one is there by now.
  void Remove();

 private:
  // "" if there is none.
  std::string path_;
  int socket_ = -1;
  // Which file it is.
  dev_t device_ = 0;
  ino_t inode_ = 0;
};

}  // namespace dray::http
