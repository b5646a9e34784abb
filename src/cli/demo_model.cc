#include "cli/demo_model.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <stdlib.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <ctime>
#include <fstream>
#include <string>

#include "cli/embedded_files.h"

namespace dray::cli {
namespace {

namespace fs = std::filesystem;

constexpr const char* kPrefix = "dray-demo-";
// A younger directory may be one whose process has not locked it yet, which takes microseconds.
constexpr std::time_t kLeastStaleSeconds = 2;

// A descriptor of the directory that holds its lock; -1 if another process does, or it is no directory.
int LockDirectory(const fs::path& dir) {
  const int fd = ::open(dir.c_str(), O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
  if (fd < 0 || ::flock(fd, LOCK_EX | LOCK_NB) == 0) return fd;
  ::close(fd);
  return -1;
}

// Whether it is this user's, and old enough to have been locked by its process.
bool MayBeStale(const fs::path& dir) {
  struct stat state {};
  return ::lstat(dir.c_str(), &state) == 0 && S_ISDIR(state.st_mode) &&
         state.st_uid == ::geteuid() && state.st_mtime + kLeastStaleSeconds <= std::time(nullptr);
}

// Removes what processes have left that were killed: the system gives up a process's locks when it ends.
void RemoveStale(const fs::path& parent) {
  std::error_code error;
  for (fs::directory_iterator it(parent, error), end; !error && it != end; it.increment(error)) {
    const fs::path& dir = it->path();
    if (!dir.filename().string().starts_with(kPrefix) || !MayBeStale(dir)) continue;
    const int lock = LockDirectory(dir);
    if (lock < 0) continue;
    std::error_code ignored;
    fs::remove_all(dir, ignored);
    ::close(lock);
  }
}

}  // namespace

DemoModel::DemoModel(fs::path dir) : dir_(std::move(dir)), lock_(LockDirectory(dir_)) {}

Result<DemoModel> DemoModel::Extract() {
  std::error_code error;
  fs::path parent = fs::temp_directory_path(error);
  if (error) parent = "/tmp";
  RemoveStale(parent);
  std::string pattern = parent / (std::string(kPrefix) + "XXXXXX");
  if (::mkdtemp(pattern.data()) == nullptr) {
    return Status(
        StatusCode::kIo,
        fmt::format("cannot make a folder like {} for the demo model: {}; set TMPDIR to a "
                    "folder that can be written to",
                    pattern, std::strerror(errno)));
  }
  DemoModel demo{fs::path(pattern)};
  for (const EmbeddedFile& file : EmbeddedDemoFiles()) {
    const auto path = demo.dir() / file.name;
    std::ofstream out(path, std::ios::binary);
    out.write(file.content.data(), static_cast<std::streamsize>(file.content.size()));
    out.close();
    if (!out)
      return Status(StatusCode::kIo,
                    fmt::format("cannot write {}: is the disk full?", path.string()));
  }
  return demo;
}

DemoModel::~DemoModel() {
  std::error_code ignored;
  if (!dir_.empty()) fs::remove_all(dir_, ignored);
  if (lock_ >= 0) ::close(lock_);
}

}  // namespace dray::cli
