#include "checkpoint/gguf/gguf.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <bit>
#include <optional>
#include <set>
#include <string_view>
#include <utility>
#include <vector>

#include "base/checked_math.h"
#include "base/parse/byte_reader.h"
#include "checkpoint/gguf/gguf_metadata.h"
#include "checkpoint/untrusted_json.h"

namespace dray::checkpoint {
namespace {

constexpr std::string_view kMagic = "GGUF";
constexpr uint32_t kOldestVersion = 2;  // version 1 had 32-bit lengths, for a few days in 2023
constexpr uint32_t kNewestVersion = 3;
constexpr uint64_t kMaxTensors = 100'000;
constexpr uint64_t kMaxNameBytes = 256;  // ggml itself cuts names at 64
constexpr uint32_t kMaxDims = 4;         // ggml's
constexpr std::string_view kAlignmentKey = "general.alignment";
constexpr uint64_t kDefaultAlignment = 32;
constexpr int64_t kMaxAlignment = 1 << 20;

// One description, not yet placed.
struct Entry {
  std::string_view name;
  std::vector<int64_t> dims;  // row-major
  uint32_t type_id = 0;
  const GgmlType* type = nullptr;  // null: the number means nothing to us
  uint64_t offset = 0;             // from where the tensors' bytes begin
  uint64_t bytes = 0;              // 0 where the type does not say
};

Status Corrupt(std::string what) { return {StatusCode::kCorrupt, std::move(what)}; }
Status Corrupt(const Entry& entry, std::string_view what) {
  return Corrupt(fmt::format("tensor {}: {}", Quoted(entry.name), what));
}

// Its errors do not name the file; ReadGguf does.
class Reader {
 public:
  explicit Reader(std::span<const std::byte> bytes) : bytes_(bytes), reader_(bytes, "header") {}

  Result<GgufContent> Read();

 private:
  Status CheckHeader();
  Status ReadAlignment(const Json& metadata);
  Result<Entry> ReadEntry();
  static Status SetSize(Entry& entry);
  void FindData();
  Status CheckPlaces(std::vector<Entry> entries) const;
  void AddTensor(const Entry& entry, FileContent& content) const;

  std::span<const std::byte> bytes_;
  ByteReader reader_;
  uint64_t alignment_ = kDefaultAlignment;
  std::span<const std::byte> data_;  // from where offsets count
};

Status Reader::CheckHeader() {
  if (bytes_.size() < kMagic.size()) {
    return Corrupt(fmt::format("{} bytes are too few for a GGUF file", bytes_.size()));
  }
  DRAY_ASSIGN_OR_RETURN(const auto magic, reader_.ReadText(kMagic.size()));
  if (magic != kMagic) {
    return Corrupt(fmt::format("it begins with {}, not with \"GGUF\"", Quoted(magic)));
  }
  DRAY_ASSIGN_OR_RETURN(const auto version, reader_.Read<uint32_t>());
  if (version >= kOldestVersion && version <= kNewestVersion) return OkStatus();
  const bool swapped = version != 0 && (version & 0xFFFF) == 0;
  const std::string what = swapped
                               ? "its numbers are big-endian, and dray reads little-endian ones"
                               : fmt::format("its version is {}, and dray reads {} and {}", version,
                                             uint32_t{kOldestVersion}, uint32_t{kNewestVersion});
  return {StatusCode::kUnsupported,
          fmt::format("{}; convert the model again with a current llama.cpp", what)};
}

Status Reader::ReadAlignment(const Json& metadata) {
  const Json* value = metadata.Find(kAlignmentKey);
  if (value == nullptr) return OkStatus();
  const auto number = value->AsInt64();
  if (!number || *number < 1 || *number > kMaxAlignment ||
      !std::has_single_bit(static_cast<uint64_t>(*number))) {
    return Corrupt(fmt::format("{} is {}: it must be a power of two up to {}", kAlignmentKey,
                               value->Dump().substr(0, 40), kMaxAlignment));
  }
  alignment_ = static_cast<uint64_t>(*number);
  return OkStatus();
}

Result<Entry> Reader::ReadEntry() {
  Entry entry;
  auto name = ReadGgufString(reader_, kMaxNameBytes);
  if (!name.ok()) return name.status().WithPrefix("tensor names");
  entry.name = *name;
  if (!IsSaneName(entry.name)) {
    return Corrupt(entry, "the name is empty or has control characters");
  }
  DRAY_ASSIGN_OR_RETURN(const auto rank, reader_.Read<uint32_t>());
  if (rank < 1 || rank > kMaxDims) {
    return Corrupt(entry,
                   fmt::format("it has {} dimensions, not 1 to {}", rank, uint32_t{kMaxDims}));
  }
  for (uint32_t i = 0; i < rank; ++i) {
    DRAY_ASSIGN_OR_RETURN(const auto dim, reader_.Read<int64_t>());
    if (dim < 1) return Corrupt(entry, fmt::format("dimension {} is {}", i + 1, dim));
    entry.dims.insert(entry.dims.begin(), dim);
  }
  DRAY_ASSIGN_OR_RETURN(entry.type_id, reader_.Read<uint32_t>());
  DRAY_ASSIGN_OR_RETURN(entry.offset, reader_.Read<uint64_t>());
  entry.type = FindGgmlType(entry.type_id);
  if (entry.offset % alignment_ != 0) {
    return Corrupt(entry, fmt::format("its offset {} is no multiple of the alignment {}",
                                      entry.offset, alignment_));
  }
  DRAY_RETURN_IF_ERROR(SetSize(entry));
  return entry;
}

Status Reader::SetSize(Entry& entry) {
  std::optional<int64_t> elements = 1;
  for (const int64_t dim : entry.dims) {
    if (elements) elements = CheckedMul(*elements, dim);
  }
  if (!elements) return Corrupt(entry, "its number of elements overflows 64 bits");
  if (entry.type == nullptr) return OkStatus();
  std::optional<int64_t> bytes = 0;
  if (entry.type->dtype) {
    bytes = CheckedMul(*elements, static_cast<int64_t>(SizeOf(*entry.type->dtype)));
  } else if (const BlockFormat* blocks = entry.type->blocks) {
    if (entry.dims.back() % blocks->elements != 0) {
      return Corrupt(entry, fmt::format("its rows of {} are no whole number of {} blocks of {}",
                                        entry.dims.back(), blocks->name, blocks->elements));
    }
    bytes = CheckedMul(*elements / blocks->elements, blocks->bytes);
  }
  if (!bytes) return Corrupt(entry, "its number of bytes overflows 64 bits");
  entry.bytes = static_cast<uint64_t>(*bytes);
  return OkStatus();
}

// The tensors' bytes begin at the next multiple of the alignment. A file that holds metadata alone
// may end before it.
void Reader::FindData() {
  const uint64_t begin = RoundUp<uint64_t>(reader_.offset(), alignment_);
  data_ = bytes_.subspan(std::min<uint64_t>(begin, bytes_.size()));
}

Status Reader::CheckPlaces(std::vector<Entry> entries) const {
  std::stable_sort(entries.begin(), entries.end(),
                   [](const Entry& a, const Entry& b) { return a.offset < b.offset; });
  const Entry* before = nullptr;
  for (const Entry& entry : entries) {
    if (entry.offset > data_.size() || entry.bytes > data_.size() - entry.offset) {
      return Corrupt(entry,
                     fmt::format("its {} bytes at offset {} reach beyond the file, which has "
                                 "{} bytes of tensors: it was cut short",
                                 entry.bytes, entry.offset, data_.size()));
    }
    if (before != nullptr && entry.offset < before->offset + before->bytes) {
      return Corrupt(entry, fmt::format("its bytes at offset {} overlap those of {}", entry.offset,
                                        Quoted(before->name)));
    }
    before = &entry;
  }
  return OkStatus();
}

void Reader::AddTensor(const Entry& entry, FileContent& content) const {
  const std::string name(entry.name);
  if (entry.type == nullptr) {
    content.unreadable.push_back(
        {name, fmt::format("its type is number {}, which dray does not know", entry.type_id),
         nullptr});
    return;
  }
  if (!entry.type->dtype && entry.type->blocks == nullptr) {
    content.unreadable.push_back(
        {name,
         fmt::format("its type is {}, which dray does not read; use a file with F16, BF16, Q8_0, "
                     "Q6_K, Q5_K, Q4_K or Q4_0 in its place",
                     entry.type->name),
         nullptr});
    return;
  }
  const Shape shape{std::span(entry.dims)};
  content.tensors.push_back({.name = name,
                             .dtype = entry.type->dtype.value_or(DType::kF32),
                             .shape = shape,
                             .strides = DenseStrides(shape),
                             .data = data_.data() + entry.offset,
                             .file = nullptr,
                             .blocks = entry.type->blocks});
}

Result<GgufContent> Reader::Read() {
  DRAY_RETURN_IF_ERROR(CheckHeader());
  DRAY_ASSIGN_OR_RETURN(const auto num_tensors, reader_.Read<uint64_t>());
  DRAY_ASSIGN_OR_RETURN(const auto num_keys, reader_.Read<uint64_t>());
  if (num_tensors > kMaxTensors) {
    return Corrupt(
        fmt::format("{} tensors are above the limit of {}", num_tensors, uint64_t{kMaxTensors}));
  }
  GgufContent gguf;
  DRAY_ASSIGN_OR_RETURN(gguf.metadata, ReadGgufMetadata(reader_, num_keys));
  DRAY_RETURN_IF_ERROR(ReadAlignment(gguf.metadata));
  std::vector<Entry> entries;
  std::set<std::string_view> names;
  for (uint64_t i = 0; i < num_tensors; ++i) {
    DRAY_ASSIGN_OR_RETURN(Entry entry, ReadEntry());
    if (!names.insert(entry.name).second) return Corrupt(entry, "the name stands there twice");
    entries.push_back(std::move(entry));
  }
  FindData();
  DRAY_RETURN_IF_ERROR(CheckPlaces(entries));
  for (const Entry& entry : entries) AddTensor(entry, gguf.content);
  return gguf;
}

}  // namespace

Result<GgufContent> ReadGguf(std::span<const std::byte> bytes, const std::string& path) {
  DRAY_RETURN_IF_ERROR(CheckNotGitLfsPointer(bytes, path));
  auto gguf = Reader(bytes).Read();
  if (!gguf.ok()) return gguf.status().WithPrefix(path);
  return gguf;
}

Result<FileContent> ReadGgufTensors(std::span<const std::byte> bytes, const std::string& path) {
  DRAY_ASSIGN_OR_RETURN(GgufContent gguf, ReadGguf(bytes, path));
  return std::move(gguf.content);
}

}  // namespace dray::checkpoint
