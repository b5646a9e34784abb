#include "base/open_file.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <utility>

namespace dray {
namespace {

Status OsError(const std::filesystem::path& path, const char* what) {
  const int error = errno;
  const StatusCode code = error == ENOENT ? StatusCode::kNotFound : StatusCode::kIo;
  return {code, fmt::format("{}: {}: {}", path.string(), what, std::strerror(error))};
}

int64_t Nanoseconds(const timespec& time) {
  return int64_t{time.tv_sec} * 1'000'000'000 + time.tv_nsec;
}

FileState StateOf(const struct stat& info) {
  return {.size_bytes = static_cast<uint64_t>(info.st_size),
          .device = info.st_dev,
          .inode = info.st_ino,
          .modified_ns = Nanoseconds(info.st_mtim),
          .changed_ns = Nanoseconds(info.st_ctim)};
}

}  // namespace

Result<FileState> ReadFileState(const std::filesystem::path& path) {
  struct stat info {};
  if (::stat(path.c_str(), &info) != 0) return OsError(path, "cannot stat");
  return StateOf(info);
}

Result<OpenFile> OpenFile::Open(const std::filesystem::path& path) {
  OpenFile file(path);
  // O_NONBLOCK so that a FIFO in a model directory cannot hang the open; it has no effect on regular
  // files.
  file.descriptor_ = ::open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK);
  if (file.descriptor_ < 0) return OsError(path, "cannot open");
  struct stat info {};
  if (::fstat(file.descriptor_, &info) != 0) return OsError(path, "cannot stat");
  if (!S_ISREG(info.st_mode)) {
    return Status(StatusCode::kInvalidArgument,
                  fmt::format("{}: not a regular file", path.string()));
  }
  file.state_ = StateOf(info);
  return file;
}

OpenFile::OpenFile(OpenFile&& other) noexcept
    : path_(std::move(other.path_)),
      descriptor_(std::exchange(other.descriptor_, -1)),
      state_(other.state_) {}

OpenFile& OpenFile::operator=(OpenFile&& other) noexcept {
  std::swap(path_, other.path_);
  std::swap(descriptor_, other.descriptor_);
  std::swap(state_, other.state_);
  return *this;
}

OpenFile::~OpenFile() {
  if (descriptor_ >= 0) ::close(descriptor_);
}

Status OpenFile::ReadAll(std::span<std::byte> out) const {
  size_t done = 0;
  while (done < out.size()) {
    const ssize_t got =
        ::pread(descriptor_, out.data() + done, out.size() - done, static_cast<off_t>(done));
    if (got < 0 && errno == EINTR) continue;
    if (got < 0) return OsError(path_, "cannot read");
    if (got == 0) return FileChanged(path_);
    done += static_cast<size_t>(got);
  }
  return CheckContent();
}

Status OpenFile::CheckContent() const {
  struct stat info {};
  if (::fstat(descriptor_, &info) != 0) return OsError(path_, "cannot stat");
  const FileState now = StateOf(info);
  // Attributes may change meanwhile, so changed_ns does not count here.
  const bool same = now.size_bytes == state_.size_bytes && now.modified_ns == state_.modified_ns;
  return same ? OkStatus() : FileChanged(path_);
}

Status FileChanged(const std::filesystem::path& path) {
  return {StatusCode::kCorrupt,
          fmt::format("{}: the file changed while it was read; try again once nothing writes to it",
                      path.string())};
}

}  // namespace dray
