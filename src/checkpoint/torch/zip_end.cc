#include "checkpoint/torch/zip_end.h"

#include <fmt/format.h>

#include "base/checked_math.h"
#include "base/parse/byte_reader.h"

namespace dray::checkpoint {
namespace {

constexpr uint32_t kEndSignature = 0x06054B50;
constexpr uint32_t kZip64EndSignature = 0x06064B50;
constexpr uint32_t kZip64LocatorSignature = 0x07064B50;
constexpr size_t kEndBytes = 22;
constexpr size_t kZip64EndBytes = 56;
constexpr size_t kZip64LocatorBytes = 20;
constexpr uint32_t kIn64Bits = 0xFFFFFFFF;  // "see the ZIP64 record"
constexpr uint16_t kIn64BitsShort = 0xFFFF;

class EndReader {
 public:
  EndReader(std::span<const std::byte> bytes, std::string_view path) : bytes_(bytes), path_(path) {}

  Result<ZipDirectory> Find() const;

 private:
  Status Corrupt(std::string_view what) const {
    return {StatusCode::kCorrupt, fmt::format("{}: ZIP: {}", path_, what)};
  }
  Result<ZipDirectory> FindWide(const ZipDirectory& narrow) const;

  std::span<const std::byte> bytes_;
  std::string_view path_;
};

// Exactly at the end, without a comment, and the central directory exactly before it.
Result<ZipDirectory> EndReader::Find() const {
  if (bytes_.size() < kEndBytes) return Corrupt("shorter than an end record");
  const size_t end_at = bytes_.size() - kEndBytes;
  ByteReader reader(bytes_.subspan(end_at), path_);
  DRAY_ASSIGN_OR_RETURN(const auto signature, reader.Read<uint32_t>());
  DRAY_ASSIGN_OR_RETURN(const auto disk, reader.Read<uint16_t>());
  DRAY_ASSIGN_OR_RETURN(const auto directory_disk, reader.Read<uint16_t>());
  DRAY_ASSIGN_OR_RETURN(const auto disk_entries, reader.Read<uint16_t>());
  DRAY_ASSIGN_OR_RETURN(const auto entries, reader.Read<uint16_t>());
  DRAY_ASSIGN_OR_RETURN(const auto size, reader.Read<uint32_t>());
  DRAY_ASSIGN_OR_RETURN(const auto offset, reader.Read<uint32_t>());
  DRAY_ASSIGN_OR_RETURN(const auto comment_bytes, reader.Read<uint16_t>());
  if (signature != kEndSignature || comment_bytes != 0) {
    return Corrupt("it does not end with an end record (truncated, or something was appended)");
  }
  if (disk != 0 || directory_disk != 0 || disk_entries != entries)
    return Corrupt("it spans several disks");
  ZipDirectory directory{offset, size, entries};
  size_t directory_end = end_at;
  if (end_at >= kZip64LocatorBytes + kZip64EndBytes) {
    ByteReader locator(bytes_.subspan(end_at - kZip64LocatorBytes), path_);
    DRAY_ASSIGN_OR_RETURN(const auto locator_signature, locator.Read<uint32_t>());
    if (locator_signature == kZip64LocatorSignature) {
      DRAY_ASSIGN_OR_RETURN(directory, FindWide(directory));
      directory_end = end_at - kZip64LocatorBytes - kZip64EndBytes;
    }
  }
  const auto stated_end = CheckedAdd(directory.offset, directory.size);
  if (!stated_end || *stated_end != directory_end) {
    return Corrupt(
        fmt::format("the central directory at {} of {} bytes does not end at {}, where the end "
                    "record starts",
                    directory.offset, directory.size, directory_end));
  }
  return directory;
}

// The wide end record, which must agree with the narrow one wherever that one is not saturated.
Result<ZipDirectory> EndReader::FindWide(const ZipDirectory& narrow) const {
  const size_t locator_at = bytes_.size() - kEndBytes - kZip64LocatorBytes;
  const size_t end_at = locator_at - kZip64EndBytes;
  ByteReader locator(bytes_.subspan(locator_at + sizeof(uint32_t)), path_);
  DRAY_ASSIGN_OR_RETURN(const auto end_disk, locator.Read<uint32_t>());
  DRAY_ASSIGN_OR_RETURN(const auto stated_end_at, locator.Read<uint64_t>());
  DRAY_ASSIGN_OR_RETURN(const auto disks, locator.Read<uint32_t>());
  ByteReader reader(bytes_.subspan(end_at), path_);
  DRAY_ASSIGN_OR_RETURN(const auto signature, reader.Read<uint32_t>());
  DRAY_ASSIGN_OR_RETURN(const auto record_bytes, reader.Read<uint64_t>());
  DRAY_RETURN_IF_ERROR(reader.Skip(2 * sizeof(uint16_t)));  // versions
  DRAY_ASSIGN_OR_RETURN(const auto disk, reader.Read<uint32_t>());
  DRAY_ASSIGN_OR_RETURN(const auto directory_disk, reader.Read<uint32_t>());
  DRAY_ASSIGN_OR_RETURN(const auto disk_entries, reader.Read<uint64_t>());
  ZipDirectory wide;
  DRAY_ASSIGN_OR_RETURN(wide.entries, reader.Read<uint64_t>());
  DRAY_ASSIGN_OR_RETURN(wide.size, reader.Read<uint64_t>());
  DRAY_ASSIGN_OR_RETURN(wide.offset, reader.Read<uint64_t>());
  if (signature != kZip64EndSignature || stated_end_at != end_at ||
      record_bytes != kZip64EndBytes - 12) {
    return Corrupt("the ZIP64 end record is not where its locator says, or not of version 1");
  }
  // Some writers state a number of disks of 0 instead of 1 in the locator.
  if (end_disk != 0 || disks > 1 || disk != 0 || directory_disk != 0 ||
      disk_entries != wide.entries) {
    return Corrupt("it spans several disks");
  }
  const auto agree = [](uint64_t a, uint64_t b, uint64_t saturated) {
    return a == b || a == saturated;
  };
  if (!agree(narrow.entries, wide.entries, kIn64BitsShort) ||
      !agree(narrow.size, wide.size, kIn64Bits) || !agree(narrow.offset, wide.offset, kIn64Bits)) {
    return Corrupt("the end record and the ZIP64 end record disagree");
  }
  return wide;
}

}  // namespace

Result<ZipDirectory> FindZipDirectory(std::span<const std::byte> bytes, std::string_view path) {
  return EndReader(bytes, path).Find();
}

}  // namespace dray::checkpoint
