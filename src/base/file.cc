#include "base/file.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <utility>

namespace dray {
namespace {

// Closes a descriptor at the end of a scope.
class Descriptor {
 public:
  explicit Descriptor(int fd) : fd_(fd) {}
  Descriptor(const Descriptor&) = delete;
  Descriptor& operator=(const Descriptor&) = delete;
  ~Descriptor() {
    if (fd_ >= 0) ::close(fd_);
  }
  int get() const { return fd_; }

 private:
  int fd_;
};

Status OsError(const std::filesystem::path& path, const char* what) {
  const int error = errno;
  const StatusCode code = error == ENOENT ? StatusCode::kNotFound : StatusCode::kIo;
  return {code, fmt::format("{}: {}: {}", path.string(), what, std::strerror(error))};
}

// O_NONBLOCK so that a FIFO in a model directory cannot hang the open; it has no effect
// on regular files.
Result<size_t> RegularFileSize(const std::filesystem::path& path, const Descriptor& fd) {
  if (fd.get() < 0) return OsError(path, "cannot open");
  struct stat info {};
  if (::fstat(fd.get(), &info) != 0) return OsError(path, "cannot stat");
  if (!S_ISREG(info.st_mode)) {
    return Status(StatusCode::kInvalidArgument,
                  fmt::format("{}: not a regular file", path.string()));
  }
  return static_cast<size_t>(info.st_size);
}

constexpr size_t kPageBytes = 4096;  // the least page size of every platform that we run on

}  // namespace

Result<std::string> ReadFile(const std::filesystem::path& path, uint64_t max_bytes) {
  Descriptor fd(::open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK));
  DRAY_ASSIGN_OR_RETURN(size_t size, RegularFileSize(path, fd));
  if (size > max_bytes) {
    return Status(StatusCode::kResourceExhausted,
                  fmt::format("{}: {} bytes, above the limit of {} for this kind of file",
                              path.string(), size, max_bytes));
  }
  std::string content(size, '\0');
  size_t done = 0;
  while (done < size) {
    const ssize_t got = ::read(fd.get(), content.data() + done, size - done);
    if (got < 0 && errno == EINTR) continue;
    if (got < 0) return OsError(path, "cannot read");
    if (got == 0) break;  // truncated while we read: keep what there was, the parser judges it
    done += static_cast<size_t>(got);
  }
  content.resize(done);
  return content;
}

bool HasEntry(const std::filesystem::path& path) {
  std::error_code ignored;
  return std::filesystem::exists(std::filesystem::symlink_status(path, ignored));
}

Result<MappedFile> MappedFile::Open(const std::filesystem::path& path) {
  Descriptor fd(::open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK));
  DRAY_ASSIGN_OR_RETURN(size_t size, RegularFileSize(path, fd));
  if (size == 0) return MappedFile(path, nullptr, 0);
  void* data = ::mmap(nullptr, size, PROT_READ, MAP_SHARED, fd.get(), 0);
  if (data == MAP_FAILED) return OsError(path, "cannot map");
  return MappedFile(path, static_cast<const std::byte*>(data), size);
}

MappedFile::MappedFile(MappedFile&& other) noexcept
    : path_(std::move(other.path_)),
      data_(std::exchange(other.data_, nullptr)),
      size_(std::exchange(other.size_, 0)) {}

MappedFile& MappedFile::operator=(MappedFile&& other) noexcept {
  std::swap(path_, other.path_);
  std::swap(data_, other.data_);
  std::swap(size_, other.size_);
  return *this;
}

MappedFile::~MappedFile() {
  if (data_ != nullptr) ::munmap(const_cast<std::byte*>(data_), size_);
}

void MappedFile::WillNeed(std::span<const std::byte> range) const {
  if (range.empty()) return;
  const auto begin = reinterpret_cast<uintptr_t>(range.data()) / kPageBytes * kPageBytes;
  const auto end = reinterpret_cast<uintptr_t>(range.data() + range.size());
  ::madvise(reinterpret_cast<void*>(begin), end - begin, MADV_WILLNEED);
}

void MappedFile::Release(std::span<const std::byte> range) const {
  const auto page = static_cast<uintptr_t>(::sysconf(_SC_PAGESIZE));
  const auto begin = (reinterpret_cast<uintptr_t>(range.data()) + page - 1) / page * page;
  const auto end = reinterpret_cast<uintptr_t>(range.data() + range.size()) / page * page;
  if (begin < end) ::madvise(reinterpret_cast<void*>(begin), end - begin, MADV_DONTNEED);
}

}  // namespace dray
