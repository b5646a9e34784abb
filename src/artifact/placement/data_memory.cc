#include "artifact/placement/data_memory.h"

#include <fmt/format.h>
#include <sys/mman.h>

#include <cerrno>
#include <cstring>
#include <utility>

#include "base/check.h"
#include "base/checked_math.h"
#include "base/machine/huge_pages.h"

namespace dray::artifact {
namespace {

static_assert(kPageBytes % DataReader::kAlignment == 0);

Status NoMemory(const MappedArtifact& artifact, size_t size_bytes) {
  return {StatusCode::kResourceExhausted,
          fmt::format("{}: no memory for {} bytes of its weights: {}", artifact.DataPath(),
                      size_bytes, std::strerror(errno))};
}

}  // namespace

Result<DataMemory> DataMemory::Open(std::shared_ptr<const MappedArtifact> artifact,
                                    ReadThrough through) {
  DRAY_ASSIGN_OR_RETURN(DataReader reader,
                        DataReader::Open(artifact->file(), artifact->DataPath(), through));
  return DataMemory(std::move(artifact), std::move(reader));
}

std::span<std::byte> DataMemory::PagesOf(ByteRange range) const {
  const std::span<const std::byte> data = artifact_->data();
  const auto begin = static_cast<size_t>(range.begin);
  DRAY_CHECK(begin % kPageBytes == 0 && static_cast<size_t>(range.end) <= data.size());
  return {const_cast<std::byte*>(data.data()) + begin,
          RoundUp(static_cast<size_t>(range.size()), kPageBytes)};
}

Status DataMemory::Copy(ByteRange range) const {
  const std::span<std::byte> place = PagesOf(range);
  // The copy begins as far behind a huge page's begin as its place does, so that whole huge pages can move.
  const size_t lead = static_cast<size_t>(range.begin) % kHugePageBytes;
  std::byte* const begin = ReserveAddresses(lead + place.size(), Access::kReadWrite);
  if (begin == nullptr) return NoMemory(*artifact_, place.size());
  PreferHugePages(begin, lead + place.size());
  std::byte* const copy = begin + lead;
  Status status = reader_.Read(range.begin, {copy, place.size()});
  if (status.ok()) {
    ::mprotect(copy, place.size(), PROT_READ);
    // An access to the range finds the mapping or the copy, and waits while the kernel exchanges them.
    const void* moved =
        ::mremap(copy, place.size(), place.size(), MREMAP_MAYMOVE | MREMAP_FIXED, place.data());
    if (moved == MAP_FAILED) status = NoMemory(*artifact_, place.size());
  }
  ::munmap(begin, status.ok() ? lead : lead + place.size());
  return status;
}

Status DataMemory::Reserve(ByteRange range) const {
  const std::span<std::byte> place = PagesOf(range);
  const void* reserved = ::mmap(place.data(), place.size(), PROT_READ | PROT_WRITE,
                                MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED | MAP_NORESERVE, -1, 0);
  if (reserved == MAP_FAILED) return NoMemory(*artifact_, place.size());
  PreferHugePages(place.data(), place.size());
  return OkStatus();
}

Status DataMemory::Fill(ByteRange range) const { return reader_.Read(range.begin, PagesOf(range)); }

void DataMemory::Empty(ByteRange range) const {
  const std::span<std::byte> place = PagesOf(range);
  ::madvise(place.data(), place.size(), MADV_DONTNEED);
}

}  // namespace dray::artifact
