#include "checkpoint/torch/zip_reader.h"

#include <fmt/format.h>

#include <algorithm>
#include <optional>
#include <string>

#include "base/checked_math.h"
#include "base/parse/byte_reader.h"
#include "checkpoint/tensor_source.h"
#include "checkpoint/torch/zip_end.h"
#include "checkpoint/untrusted_json.h"

namespace dray::checkpoint {
namespace {

constexpr uint32_t kLocalSignature = 0x04034B50;
constexpr uint32_t kDescriptorSignature = 0x08074B50;
constexpr uint32_t kCentralSignature = 0x02014B50;

constexpr uint16_t kHasDescriptor = 1 << 3;  // CRC and sizes follow the data
constexpr uint16_t kUtf8Names = 1 << 11;
constexpr uint16_t kStored = 0;
constexpr uint16_t kZip64Extra = 0x0001;
constexpr uint32_t kIn64Bits = 0xFFFFFFFF;  // "see the ZIP64 field"

// One record of the central directory.
struct Record {
  std::string_view name;
  uint16_t flags = 0;
  uint32_t crc32 = 0;
  uint64_t size = 0;
  uint64_t offset = 0;  // of the local header
};

// The fixed part that the central and the local header have in common.
struct CommonHeader {
  uint16_t flags = 0;
  uint16_t method = 0;
  uint32_t crc32 = 0;
  uint32_t compressed = 0;
  uint32_t size = 0;
  uint16_t name_bytes = 0;
  uint16_t extra_bytes = 0;
};

class Reader {
 public:
  Reader(std::span<const std::byte> bytes, std::string_view path) : bytes_(bytes), path_(path) {}

  Result<std::vector<ZipEntry>> Read();

 private:
  Status Corrupt(std::string_view what) const {
    return {StatusCode::kCorrupt, fmt::format("{}: ZIP: {}", path_, what)};
  }
  Status Corrupt(const Record& record, std::string_view what) const {
    return Corrupt(fmt::format("entry {}: {}", Quoted(record.name), what));
  }

  Result<CommonHeader> ReadCommon(ByteReader& reader) const;
  Result<Record> ReadRecord(ByteReader& reader) const;
  Result<std::vector<Record>> ReadDirectory(const ZipDirectory& directory) const;
  Status CheckRecord(const Record& record, const CommonHeader& header) const;
  Status ReadWideFields(std::string_view extra, const CommonHeader& header, Record& record) const;
  Status CheckLocalSizes(const Record& record, const CommonHeader& local,
                         std::string_view extra) const;
  Result<ZipEntry> ReadLocal(const Record& record, uint64_t& at) const;
  Status SkipDescriptor(const Record& record, uint64_t next, uint64_t& at) const;

  std::span<const std::byte> bytes_;
  std::string_view path_;
};

// From the flags to the length of the extra field.
Result<CommonHeader> Reader::ReadCommon(ByteReader& reader) const {
  CommonHeader header;
  DRAY_ASSIGN_OR_RETURN(header.flags, reader.Read<uint16_t>());
  DRAY_ASSIGN_OR_RETURN(header.method, reader.Read<uint16_t>());
  DRAY_RETURN_IF_ERROR(reader.Skip(2 * sizeof(uint16_t)));  // time and date
  DRAY_ASSIGN_OR_RETURN(header.crc32, reader.Read<uint32_t>());
  DRAY_ASSIGN_OR_RETURN(header.compressed, reader.Read<uint32_t>());
  DRAY_ASSIGN_OR_RETURN(header.size, reader.Read<uint32_t>());
  DRAY_ASSIGN_OR_RETURN(header.name_bytes, reader.Read<uint16_t>());
  DRAY_ASSIGN_OR_RETURN(header.extra_bytes, reader.Read<uint16_t>());
  return header;
}

// Fills in the fields of `record` that its header declares to be in the ZIP64 extra field.
Status Reader::ReadWideFields(std::string_view extra, const CommonHeader& header,
                              Record& record) const {
  const std::string what =
      fmt::format("{}: extra field of ZIP entry {}", path_, Quoted(record.name));
  ByteReader reader(std::as_bytes(std::span(extra)), what);
  bool found = false;
  uint64_t compressed = header.compressed;
  while (reader.remaining() > 0) {
    DRAY_ASSIGN_OR_RETURN(const auto id, reader.Read<uint16_t>());
    DRAY_ASSIGN_OR_RETURN(const auto size, reader.Read<uint16_t>());
    DRAY_ASSIGN_OR_RETURN(const auto body, reader.ReadBytes(size));
    if (id != kZip64Extra) continue;
    if (found) return Corrupt(record, "two ZIP64 fields");
    found = true;
    ByteReader wide(body, what);
    if (header.size == kIn64Bits) {
      DRAY_ASSIGN_OR_RETURN(record.size, wide.Read<uint64_t>());
    }
    if (header.compressed == kIn64Bits) {
      DRAY_ASSIGN_OR_RETURN(compressed, wide.Read<uint64_t>());
    }
    if (record.offset == kIn64Bits) {
      DRAY_ASSIGN_OR_RETURN(record.offset, wide.Read<uint64_t>());
    }
  }
  if (compressed != record.size)
    return Corrupt(record, "it is compressed, or its two sizes disagree");
  return OkStatus();
}

Status Reader::CheckRecord(const Record& record, const CommonHeader& header) const {
  if (!IsSaneName(record.name))
    return Corrupt(record, "the name is empty or has control characters");
  if (header.method != kStored) {
    return Corrupt(record,
                   fmt::format("compression method {}; only stored entries are read in place, as "
                               "torch.save writes them",
                               header.method));
  }
  if ((header.flags & ~(kHasDescriptor | kUtf8Names)) != 0) {
    return Corrupt(
        record, fmt::format("general purpose flags {:#06x} (encryption, patches, ...) are refused",
                            header.flags));
  }
  return OkStatus();
}

Result<Record> Reader::ReadRecord(ByteReader& reader) const {
  DRAY_ASSIGN_OR_RETURN(const auto signature, reader.Read<uint32_t>());
  if (signature != kCentralSignature)
    return Corrupt("a record of the central directory has no signature");
  DRAY_RETURN_IF_ERROR(reader.Skip(2 * sizeof(uint16_t)));  // versions
  DRAY_ASSIGN_OR_RETURN(const CommonHeader header, ReadCommon(reader));
  DRAY_ASSIGN_OR_RETURN(const auto comment_bytes, reader.Read<uint16_t>());
  DRAY_ASSIGN_OR_RETURN(const auto disk, reader.Read<uint16_t>());
  DRAY_RETURN_IF_ERROR(reader.Skip(sizeof(uint16_t) + sizeof(uint32_t)));  // attributes
  Record record{.name = {}, .flags = header.flags, .crc32 = header.crc32, .size = header.size};
  DRAY_ASSIGN_OR_RETURN(record.offset, reader.Read<uint32_t>());
  DRAY_ASSIGN_OR_RETURN(record.name, reader.ReadText(header.name_bytes));
  DRAY_ASSIGN_OR_RETURN(const auto extra, reader.ReadText(header.extra_bytes));
  DRAY_RETURN_IF_ERROR(CheckRecord(record, header));
  if (disk != 0 || comment_bytes != 0)
    return Corrupt(record, "it has a comment, or is on another disk");
  DRAY_RETURN_IF_ERROR(ReadWideFields(extra, header, record));
  return record;
}

Result<std::vector<Record>> Reader::ReadDirectory(const ZipDirectory& directory) const {
  const std::string what = fmt::format("{}: ZIP central directory", path_);
  ByteReader reader(bytes_.subspan(directory.offset, directory.size), what);
  std::vector<Record> records;
  while (reader.remaining() > 0) {
    DRAY_ASSIGN_OR_RETURN(const Record record, ReadRecord(reader));
    records.push_back(record);
  }
  if (records.size() != directory.entries) {
    return Corrupt(fmt::format("the end record counts {} entries, the central directory has {}",
                               directory.entries, records.size()));
  }
  std::sort(records.begin(), records.end(),
            [](const Record& a, const Record& b) { return a.offset < b.offset; });
  return records;
}

// Without a descriptor, the local header must repeat the central one. With one, it may leave CRC
// and sizes at zero; what it does state must be true.
Status Reader::CheckLocalSizes(const Record& record, const CommonHeader& local,
                               std::string_view extra) const {
  if ((local.flags & kHasDescriptor) != 0 && local.crc32 == 0 && local.compressed == 0 &&
      local.size == 0) {
    return OkStatus();
  }
  Record repeated{
      .name = record.name, .flags = local.flags, .crc32 = local.crc32, .size = local.size};
  DRAY_RETURN_IF_ERROR(ReadWideFields(extra, local, repeated));
  if (repeated.crc32 != record.crc32 || repeated.size != record.size) {
    return Corrupt(record,
                   "its local header states another CRC or size than the central directory");
  }
  return OkStatus();
}

// Reads the local header at `at`, which must be where the record says, and moves `at`
// behind the data.
Result<ZipEntry> Reader::ReadLocal(const Record& record, uint64_t& at) const {
  if (record.offset != at) {
    return Corrupt(record,
                   fmt::format("it starts at {}, {} the preceding entry's end at {}", record.offset,
                               record.offset < at ? "overlapping" : "leaving a gap after", at));
  }
  const std::string what = fmt::format("{}: ZIP entry {}", path_, Quoted(record.name));
  ByteReader reader(bytes_, what);
  DRAY_RETURN_IF_ERROR(reader.Seek(at));
  DRAY_ASSIGN_OR_RETURN(const auto signature, reader.Read<uint32_t>());
  if (signature != kLocalSignature)
    return Corrupt(record, fmt::format("no local header at {}", at));
  DRAY_RETURN_IF_ERROR(reader.Skip(sizeof(uint16_t)));  // version
  DRAY_ASSIGN_OR_RETURN(const CommonHeader local, ReadCommon(reader));
  DRAY_ASSIGN_OR_RETURN(const auto name, reader.ReadText(local.name_bytes));
  DRAY_ASSIGN_OR_RETURN(const auto extra, reader.ReadText(local.extra_bytes));
  if (name != record.name || local.flags != record.flags || local.method != kStored) {
    return Corrupt(
        record, "its local header states another name, method or flags than the central directory");
  }
  DRAY_RETURN_IF_ERROR(CheckLocalSizes(record, local, extra));
  DRAY_ASSIGN_OR_RETURN(const auto data, reader.ReadBytes(record.size));
  at = reader.offset();
  return ZipEntry{record.name, data, record.crc32};
}

// What may stand between an entry's data and `next`: its descriptor, if it is declared,
// and nothing else.
Status Reader::SkipDescriptor(const Record& record, uint64_t next, uint64_t& at) const {
  if ((record.flags & kHasDescriptor) == 0) return OkStatus();
  // torch writes none after an entry without bytes. An overlap is for the next entry to report.
  if (next < at || (next == at && record.size == 0)) return OkStatus();
  const std::string what =
      fmt::format("{}: descriptor of ZIP entry {}", path_, Quoted(record.name));
  ByteReader reader(bytes_.subspan(at, next - at), what);
  const bool wide = reader.remaining() == 24;
  DRAY_ASSIGN_OR_RETURN(const auto signature, reader.Read<uint32_t>());
  DRAY_ASSIGN_OR_RETURN(const auto crc32, reader.Read<uint32_t>());
  uint64_t sizes[2];
  for (uint64_t& size : sizes) {
    if (wide) {
      DRAY_ASSIGN_OR_RETURN(size, reader.Read<uint64_t>());
    } else {
      DRAY_ASSIGN_OR_RETURN(size, reader.Read<uint32_t>());
    }
  }
  if (signature != kDescriptorSignature || crc32 != record.crc32 || sizes[0] != record.size ||
      sizes[1] != record.size) {
    return Corrupt(record, "its data descriptor and the central directory disagree");
  }
  at += reader.offset();
  return OkStatus();
}

Result<std::vector<ZipEntry>> Reader::Read() {
  DRAY_ASSIGN_OR_RETURN(const ZipDirectory directory, FindZipDirectory(bytes_, path_));
  DRAY_ASSIGN_OR_RETURN(const std::vector<Record> records, ReadDirectory(directory));
  std::vector<ZipEntry> entries;
  entries.reserve(records.size());
  uint64_t at = 0;
  for (size_t i = 0; i < records.size(); ++i) {
    DRAY_ASSIGN_OR_RETURN(const ZipEntry entry, ReadLocal(records[i], at));
    entries.push_back(entry);
    uint64_t next = directory.offset;
    if (i + 1 < records.size()) next = std::min(next, records[i + 1].offset);
    DRAY_RETURN_IF_ERROR(SkipDescriptor(records[i], next, at));
  }
  if (at != directory.offset) {
    return Corrupt(fmt::format("the entries end at {}, the central directory starts at {}", at,
                               directory.offset));
  }
  return entries;
}

}  // namespace

Result<ZipArchive> ZipArchive::Read(std::span<const std::byte> bytes, std::string_view path) {
  ZipArchive archive;
  DRAY_ASSIGN_OR_RETURN(archive.entries_, Reader(bytes, path).Read());
  const auto& entries = archive.entries_;
  for (uint32_t i = 0; i < entries.size(); ++i) archive.by_name_.push_back(i);
  std::sort(archive.by_name_.begin(), archive.by_name_.end(),
            [&](uint32_t a, uint32_t b) { return entries[a].name < entries[b].name; });
  const auto twin = std::adjacent_find(
      archive.by_name_.begin(), archive.by_name_.end(),
      [&](uint32_t a, uint32_t b) { return entries[a].name == entries[b].name; });
  if (twin != archive.by_name_.end()) {
    return Status(StatusCode::kCorrupt,
                  fmt::format("{}: ZIP: entry {} stands twice", path, Quoted(entries[*twin].name)));
  }
  return archive;
}

const ZipEntry* ZipArchive::Find(std::string_view name) const {
  const auto it =
      std::lower_bound(by_name_.begin(), by_name_.end(), name,
                       [&](uint32_t i, std::string_view n) { return entries_[i].name < n; });
  return it != by_name_.end() && entries_[*it].name == name ? &entries_[*it] : nullptr;
}

}  // namespace dray::checkpoint
