#include "artifact/placement/data_reader.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <string>
#include <utility>

namespace dray::artifact {
namespace {

// Whether the file system takes reads with O_DIRECT: some refuse them when the file is opened, others at the
// first read.
bool ReadsDirectly(int descriptor) {
  if (descriptor < 0) return false;
  alignas(DataReader::kAlignment) std::byte block[DataReader::kAlignment];
  return ::pread(descriptor, block, sizeof(block), 0) >= 0;
}

}  // namespace

Result<DataReader> DataReader::Open(const OpenFile& file, const std::filesystem::path& path,
                                    ReadThrough through) {
  DataReader reader(path, static_cast<int64_t>(file.state().size_bytes));
  const std::string same_file = fmt::format("/proc/self/fd/{}", file.descriptor());
  if (through == ReadThrough::kDevice) {
    reader.descriptor_ = ::open(same_file.c_str(), O_RDONLY | O_CLOEXEC | O_DIRECT);
    if (ReadsDirectly(reader.descriptor_)) return reader;
    if (reader.descriptor_ >= 0) ::close(reader.descriptor_);
    reader.empties_cache_ = true;
  }
  reader.descriptor_ = ::open(same_file.c_str(), O_RDONLY | O_CLOEXEC);
  if (reader.descriptor_ >= 0) return reader;
  return Status(StatusCode::kIo,
                fmt::format("{}: cannot open it again: {}", path.string(), std::strerror(errno)));
}

DataReader::DataReader(DataReader&& other) noexcept
    : path_(std::move(other.path_)),
      file_bytes_(other.file_bytes_),
      descriptor_(std::exchange(other.descriptor_, -1)),
      empties_cache_(other.empties_cache_) {}

DataReader& DataReader::operator=(DataReader&& other) noexcept {
  std::swap(path_, other.path_);
  std::swap(file_bytes_, other.file_bytes_);
  std::swap(descriptor_, other.descriptor_);
  std::swap(empties_cache_, other.empties_cache_);
  return *this;
}

DataReader::~DataReader() {
  if (descriptor_ >= 0) ::close(descriptor_);
}

Status DataReader::Read(int64_t offset, std::span<std::byte> out) const {
  const int64_t wanted = std::min(static_cast<int64_t>(out.size()), file_bytes_ - offset);
  for (int64_t done = 0; done < wanted;) {
    // Whole blocks, also behind the file's end, since a read past the cache takes nothing else.
    const std::span<std::byte> rest = out.subspan(static_cast<size_t>(done));
    const ssize_t got = ::pread(descriptor_, rest.data(), rest.size(), offset + done);
    if (got < 0 && errno == EINTR) continue;
    if (got < 0) {
      return {StatusCode::kIo, fmt::format("{}: cannot read {} bytes at {}: {}", path_.string(),
                                           rest.size(), offset + done, std::strerror(errno))};
    }
    if (got == 0) return FileChanged(path_);
    done += got;
  }
  if (empties_cache_) ::posix_fadvise(descriptor_, offset, wanted, POSIX_FADV_DONTNEED);
  return OkStatus();
}

}  // namespace dray::artifact
