#include "parallel/memory/memory_file.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <utility>

namespace dray::parallel {
namespace {

constexpr int kSizeSeals = F_SEAL_SHRINK | F_SEAL_GROW;

Status SystemRefuses(StatusCode code, std::string_view what) {
  return {code, fmt::format("{}: {}", what, std::strerror(errno))};
}

struct flock LockOf(int64_t seat) {
  struct flock lock = {};
  lock.l_type = F_WRLCK;
  lock.l_whence = SEEK_SET;
  lock.l_start = seat;
  lock.l_len = 1;
  return lock;
}

}  // namespace

Result<MemoryFile> MemoryFile::Create(const char* name, int64_t size_bytes) {
  const int descriptor = ::memfd_create(name, MFD_CLOEXEC | MFD_ALLOW_SEALING);
  if (descriptor < 0) {
    return SystemRefuses(StatusCode::kResourceExhausted, "cannot create a memory file");
  }
  MemoryFile file(descriptor, size_bytes);
  if (::ftruncate(descriptor, size_bytes) != 0 ||
      ::fcntl(descriptor, F_ADD_SEALS, kSizeSeals | F_SEAL_SEAL) != 0) {
    return SystemRefuses(StatusCode::kResourceExhausted,
                         fmt::format("cannot make a memory file of {} bytes", size_bytes));
  }
  return file;
}

Result<MemoryFile> MemoryFile::Open(int descriptor) {
  const int seals = ::fcntl(descriptor, F_GET_SEALS);
  struct stat state = {};
  if (seals < 0 || (seals & kSizeSeals) != kSizeSeals || ::fstat(descriptor, &state) != 0) {
    return Status(StatusCode::kInvalidArgument,
                  fmt::format("descriptor {} is no memory file of a group of ranks; it must be "
                              "inherited from the process that starts the group",
                              descriptor));
  }
  // Locks belong to an opening of a file, and an inherited descriptor shares that with its parent.
  const std::string path = fmt::format("/proc/self/fd/{}", descriptor);
  const int own = ::open(path.c_str(), O_RDWR | O_CLOEXEC);
  if (own < 0) return SystemRefuses(StatusCode::kIo, fmt::format("cannot open {}", path));
  return MemoryFile(own, state.st_size);
}

MemoryFile::MemoryFile(MemoryFile&& other) noexcept
    : descriptor_(std::exchange(other.descriptor_, -1)),
      size_bytes_(std::exchange(other.size_bytes_, 0)) {}

MemoryFile& MemoryFile::operator=(MemoryFile&& other) noexcept {
  std::swap(descriptor_, other.descriptor_);
  std::swap(size_bytes_, other.size_bytes_);
  return *this;
}

MemoryFile::~MemoryFile() {
  if (descriptor_ >= 0) ::close(descriptor_);
}

bool MemoryFile::Claim(int64_t seat) const {
  struct flock lock = LockOf(seat);
  return ::fcntl(descriptor_, F_OFD_SETLK, &lock) == 0;
}

bool MemoryFile::IsClaimed(int64_t seat) const {
  struct flock lock = LockOf(seat);
  return ::fcntl(descriptor_, F_OFD_GETLK, &lock) == 0 && lock.l_type != F_UNLCK;
}

ClaimLiveness::ClaimLiveness(MemoryFile file, std::vector<const std::atomic<uint32_t>*> attached)
    : file_(std::move(file)), attached_(std::move(attached)) {}

bool ClaimLiveness::IsGone(int64_t seat) const {
  return attached_[static_cast<size_t>(seat)]->load(std::memory_order_acquire) != 0 &&
         !file_.IsClaimed(seat);
}

}  // namespace dray::parallel
