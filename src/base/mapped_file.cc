#include "base/mapped_file.h"

#include <fmt/format.h>
#include <sys/mman.h>
#include <unistd.h>

#include <cerrno>
#include <cstdint>
#include <cstring>
#include <utility>

#include "base/checked_math.h"
#include "base/machine/huge_pages.h"

namespace dray {
namespace {

constexpr size_t kAlignment = 64;  // of the bytes of files that are read: a cache line

// MAP_FAILED, and errno, if the file cannot be mapped.
void* MapAligned(int descriptor, size_t size_bytes) {
  void* place = ReserveAddresses(size_bytes, Access::kNone);
  if (place == nullptr) return MAP_FAILED;
  void* data = ::mmap(place, size_bytes, PROT_READ, MAP_SHARED | MAP_FIXED, descriptor, 0);
  const int error = errno;
  if (data == MAP_FAILED) ::munmap(place, size_bytes);
  errno = error;
  return data;
}

}  // namespace

Result<MappedFile> MappedFile::Open(const std::filesystem::path& path) {
  DRAY_ASSIGN_OR_RETURN(const OpenFile file, OpenFile::Open(path));
  MappedFile mapped(path);
  mapped.state_ = file.state();
  const size_t size = file.state().size_bytes;
  if (size <= kReadBytes) {
    mapped.content_ = std::make_unique<std::byte[]>(size + kAlignment - 1);
    auto* const content = reinterpret_cast<std::byte*>(
        RoundUp(reinterpret_cast<uintptr_t>(mapped.content_.get()), uintptr_t{kAlignment}));
    mapped.data_ = content;
    DRAY_RETURN_IF_ERROR(file.ReadAll({content, size}));
    return mapped;
  }
  void* data = MapAligned(file.descriptor(), size);
  if (data == MAP_FAILED) {
    return Status(StatusCode::kIo, fmt::format("{}: cannot map its {} bytes: {}", path.string(),
                                               size, std::strerror(errno)));
  }
  mapped.data_ = static_cast<const std::byte*>(data);
  mapped.guard_ = MappingGuard(data, size);
  return mapped;
}

MappedFile::MappedFile(MappedFile&& other) noexcept
    : path_(std::move(other.path_)),
      state_(std::exchange(other.state_, {})),
      content_(std::move(other.content_)),
      data_(std::exchange(other.data_, nullptr)),
      guard_(std::move(other.guard_)) {}

MappedFile& MappedFile::operator=(MappedFile&& other) noexcept {
  std::swap(path_, other.path_);
  std::swap(state_, other.state_);
  std::swap(content_, other.content_);
  std::swap(data_, other.data_);
  std::swap(guard_, other.guard_);
  return *this;
}

MappedFile::~MappedFile() {
  if (!is_mapped()) return;
  guard_ = MappingGuard();
  ::munmap(const_cast<std::byte*>(data_), state_.size_bytes);
}

Status MappedFile::CheckUnchanged() const {
  if (damaged()) {
    return {
        StatusCode::kCorrupt,
        fmt::format("{}: the file changed while it was read: bytes that it had are gone, because "
                    "something cut it short or its disk failed; try again once nothing writes to "
                    "it",
                    path_.string())};
  }
  DRAY_ASSIGN_OR_RETURN(const FileState now, ReadFileState(path_));
  return now == state_ ? OkStatus() : FileChanged(path_);
}

void MappedFile::PreferHugePages() const {
  if (is_mapped()) dray::PreferHugePages(const_cast<std::byte*>(data_), state_.size_bytes);
}

void MappedFile::WillNeed(std::span<const std::byte> range) const {
  if (range.empty() || !is_mapped()) return;
  const auto begin = reinterpret_cast<uintptr_t>(range.data()) / kPageBytes * kPageBytes;
  const auto end = reinterpret_cast<uintptr_t>(range.data() + range.size());
  ::madvise(reinterpret_cast<void*>(begin), end - begin, MADV_WILLNEED);
}

void MappedFile::Release(std::span<const std::byte> range) const {
  if (!is_mapped()) return;
  const auto page = static_cast<uintptr_t>(::sysconf(_SC_PAGESIZE));
  const auto begin = (reinterpret_cast<uintptr_t>(range.data()) + page - 1) / page * page;
  const auto end = reinterpret_cast<uintptr_t>(range.data() + range.size()) / page * page;
  if (begin < end) ::madvise(reinterpret_cast<void*>(begin), end - begin, MADV_DONTNEED);
}

}  // namespace dray
