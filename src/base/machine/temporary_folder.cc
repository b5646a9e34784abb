#include "base/machine/temporary_folder.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <stdlib.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <ctime>
#include <string>

namespace dray {
namespace {

namespace fs = std::filesystem;

// A younger folder may be one whose process has not locked it yet, which takes microseconds.
constexpr std::time_t kLeastStaleSeconds = 2;

// A descriptor of the folder that holds its lock; -1 if another process does, or it is no folder.
int LockFolder(const fs::path& folder) {
  const int fd = ::open(folder.c_str(), O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
  if (fd < 0 || ::flock(fd, LOCK_EX | LOCK_NB) == 0) return fd;
  ::close(fd);
  return -1;
}

// Whether it is this user's, and old enough to have been locked by its process.
bool MayBeStale(const fs::path& folder) {
  struct stat state {};
  return ::lstat(folder.c_str(), &state) == 0 && S_ISDIR(state.st_mode) &&
         state.st_uid == ::geteuid() && state.st_mtime + kLeastStaleSeconds <= std::time(nullptr);
}

// Removes what processes have left that were killed: the system gives up a process's locks when it ends.
void RemoveStale(const fs::path& parent, std::string_view prefix) {
  std::error_code error;
  for (fs::directory_iterator it(parent, error), end; !error && it != end; it.increment(error)) {
    const fs::path& folder = it->path();
    if (!folder.filename().string().starts_with(prefix) || !MayBeStale(folder)) continue;
    const int lock = LockFolder(folder);
    if (lock < 0) continue;
    std::error_code ignored;
    fs::remove_all(folder, ignored);
    ::close(lock);
  }
}

}  // namespace

TemporaryFolder::TemporaryFolder(fs::path path)
    : path_(std::move(path)), lock_(LockFolder(path_)) {}

Result<TemporaryFolder> TemporaryFolder::Make(const fs::path& parent, std::string_view prefix) {
  RemoveStale(parent, prefix);
  std::string pattern = parent / fmt::format("{}XXXXXX", prefix);
  if (::mkdtemp(pattern.data()) == nullptr) {
    return Status(StatusCode::kIo,
                  fmt::format("cannot make a folder in {}: {}; it must be one that can be written "
                              "to",
                              parent.string(), std::strerror(errno)));
  }
  return TemporaryFolder(fs::path(pattern));
}

TemporaryFolder::~TemporaryFolder() {
  std::error_code ignored;
  if (!path_.empty()) fs::remove_all(path_, ignored);
  if (lock_ >= 0) ::close(lock_);
}

}  // namespace dray
