#include "checkpoint/safetensors.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <optional>
#include <string>
#include <string_view>

#include "base/checked_math.h"
#include "base/parse/byte_reader.h"
#include "base/parse/json.h"
#include "checkpoint/untrusted_json.h"

namespace dray::checkpoint {
namespace {

constexpr uint64_t kMaxHeaderBytes = 100'000'000;  // the format's own limit
constexpr std::string_view kMetadataKey = "__metadata__";

// Every dtype of the format. The ones that dray has no DType for are accepted in a file, since real
// files carry tensors that the model never asks for, and refused when they are asked for.
struct Format {
  std::string_view name;
  int bits;
  std::optional<DType> dtype;
};
constexpr std::array kFormats = {
    Format{"F32", 32, DType::kF32},
    Format{"F16", 16, DType::kF16},
    Format{"BF16", 16, DType::kBF16},
    Format{"F64", 64, DType::kF64},
    Format{"I8", 8, DType::kI8},
    Format{"U8", 8, DType::kU8},
    Format{"I16", 16, DType::kI16},
    Format{"I32", 32, DType::kI32},
    Format{"I64", 64, DType::kI64},
    Format{"BOOL", 8, DType::kBool},
    Format{"U16", 16, std::nullopt},
    Format{"U32", 32, std::nullopt},
    Format{"U64", 64, std::nullopt},
    Format{"C64", 64, std::nullopt},
    Format{"F8_E5M2", 8, std::nullopt},
    Format{"F8_E4M3", 8, std::nullopt},
    Format{"F8_E8M0", 8, std::nullopt},
    Format{"F8_E4M3FNUZ", 8, std::nullopt},
    Format{"F8_E5M2FNUZ", 8, std::nullopt},
    Format{"F6_E2M3", 6, std::nullopt},
    Format{"F6_E3M2", 6, std::nullopt},
    Format{"F4", 4, std::nullopt},
};

// One member of the header, read but not yet placed in the file.
struct Entry {
  std::string_view name;
  const Format* format = nullptr;
  std::vector<int64_t> dims;
  int64_t begin = 0;  // of its bytes, counted from the end of the header
  int64_t end = 0;
};

class Reader {
 public:
  Reader(std::span<const std::byte> bytes, const std::string& path) : bytes_(bytes), path_(path) {}

  Result<FileContent> Read();

 private:
  Status Corrupt(std::string_view what) const {
    return {StatusCode::kCorrupt, fmt::format("{}: {}", path_, what)};
  }
  Status Corrupt(const Entry& entry, std::string_view what) const {
    return Corrupt(fmt::format("tensor {}: {}", Quoted(entry.name), what));
  }

  Result<std::string_view> HeaderText();
  Result<Entry> ReadEntry(const Json::Member& member) const;
  Result<std::vector<int64_t>> ReadInts(const Entry& entry, const Json& info,
                                        const char* field) const;
  Status CheckMetadata(const Json& metadata) const;
  Status CheckSize(const Entry& entry) const;
  Status CheckTiling(std::vector<Entry>& entries) const;
  void AddTensor(const Entry& entry, FileContent& content) const;

  std::span<const std::byte> bytes_;
  const std::string& path_;
  std::span<const std::byte> data_;  // what follows the header
};

Result<std::string_view> Reader::HeaderText() {
  DRAY_RETURN_IF_ERROR(CheckNotGitLfsPointer(bytes_, path_));
  ByteReader reader(bytes_, path_);
  if (bytes_.size() < sizeof(uint64_t)) {
    return Corrupt(fmt::format("{} bytes are too few for a header length", bytes_.size()));
  }
  DRAY_ASSIGN_OR_RETURN(const uint64_t size, reader.Read<uint64_t>());
  if (size > kMaxHeaderBytes) {
    return Corrupt(fmt::format("header length {} is above the format's limit of {} bytes", size,
                               uint64_t{kMaxHeaderBytes}));
  }
  if (size > reader.remaining()) {
    return Corrupt(fmt::format("header length {} is beyond the end of the file, which has {} bytes",
                               size, bytes_.size()));
  }
  DRAY_ASSIGN_OR_RETURN(const std::string_view text, reader.ReadText(size));
  if (text.empty() || text.front() != '{') return Corrupt("header does not start with '{'");
  data_ = bytes_.subspan(reader.offset());
  return text;
}

Result<std::vector<int64_t>> Reader::ReadInts(const Entry& entry, const Json& info,
                                              const char* field) const {
  const Json* json = info.Find(field);
  if (json == nullptr) return Corrupt(entry, fmt::format("field \"{}\" is missing", field));
  const Json::Array* array = json->AsArray();
  if (array == nullptr) {
    return Corrupt(entry,
                   fmt::format("field \"{}\" is a {}, not an array", field, json->KindName()));
  }
  std::vector<int64_t> values;
  values.reserve(array->size());
  for (const Json& element : *array) {
    if (!element.is_int() || *element.AsInt64() < 0) {
      return Corrupt(
          entry, fmt::format("field \"{}\" holds {}, not an integer in 0..2^63-1", field,
                             element.KindName() == "number" ? element.Dump() : element.KindName()));
    }
    values.push_back(*element.AsInt64());
  }
  return values;
}

Result<Entry> Reader::ReadEntry(const Json::Member& member) const {
  const Json& info = member.second;
  Entry entry;
  entry.name = member.first;
  if (!IsSaneName(entry.name)) {
    return Corrupt(entry, "the name is empty or has control characters");
  }
  if (!info.is_object()) {
    return Corrupt(entry, fmt::format("its description is a {}, not an object", info.KindName()));
  }
  const Json* dtype = info.Find("dtype");
  if (dtype == nullptr || dtype->AsString() == nullptr) {
    return Corrupt(entry, "field \"dtype\" is missing or not a string");
  }
  const auto format = std::find_if(kFormats.begin(), kFormats.end(),
                                   [&](const Format& f) { return f.name == *dtype->AsString(); });
  if (format == kFormats.end()) {
    return Corrupt(entry, fmt::format("dtype {} is unknown", Quoted(*dtype->AsString())));
  }
  entry.format = &*format;
  DRAY_ASSIGN_OR_RETURN(entry.dims, ReadInts(entry, info, "shape"));
  DRAY_ASSIGN_OR_RETURN(const auto offsets, ReadInts(entry, info, "data_offsets"));
  if (offsets.size() != 2) {
    return Corrupt(entry,
                   fmt::format("field \"data_offsets\" has {} numbers, not 2", offsets.size()));
  }
  entry.begin = offsets[0];
  entry.end = offsets[1];
  DRAY_RETURN_IF_ERROR(CheckSize(entry));
  return entry;
}

// shape x dtype must be exactly the byte range.
Status Reader::CheckSize(const Entry& entry) const {
  if (entry.begin > entry.end || static_cast<uint64_t>(entry.end) > data_.size()) {
    return Corrupt(
        entry, fmt::format("data_offsets [{}, {}] are not a range within the file's {} data bytes",
                           entry.begin, entry.end, data_.size()));
  }
  std::optional<int64_t> bits = entry.format->bits;
  for (const int64_t dim : entry.dims) {
    if (bits) bits = CheckedMul(*bits, dim);
  }
  if (!bits) return Corrupt(entry, "shape x dtype overflows 64 bits");
  if (*bits % 8 != 0 || *bits / 8 != entry.end - entry.begin) {
    return Corrupt(
        entry,
        fmt::format("shape [{}] of {} takes {} bits, but data_offsets [{}, {}] hold {} bytes",
                    fmt::join(entry.dims, ", "), entry.format->name, *bits, entry.begin, entry.end,
                    entry.end - entry.begin));
  }
  return OkStatus();
}

Status Reader::CheckMetadata(const Json& metadata) const {
  if (metadata.is_null()) return OkStatus();
  if (!metadata.is_object()) {
    return Corrupt(fmt::format("{} is a {}, not an object", kMetadataKey, metadata.KindName()));
  }
  for (const auto& [key, value] : *metadata.AsObject()) {
    if (!value.is_string()) {
      return Corrupt(fmt::format("{}: the value of {} is a {}, not a string", kMetadataKey,
                                 Quoted(key), value.KindName()));
    }
  }
  return OkStatus();
}

// Sorts by place, and checks that the ranges tile the data.
Status Reader::CheckTiling(std::vector<Entry>& entries) const {
  std::sort(entries.begin(), entries.end(), [](const Entry& a, const Entry& b) {
    return a.begin != b.begin ? a.begin < b.begin : a.end < b.end;
  });
  int64_t at = 0;
  for (const Entry& entry : entries) {
    if (entry.begin != at) {
      return Corrupt(
          entry,
          fmt::format("data_offsets begin at {}, {} the preceding tensor's end at {}", entry.begin,
                      entry.begin < at ? "overlapping" : "leaving a hole after", at));
    }
    at = entry.end;
  }
  if (static_cast<uint64_t>(at) != data_.size()) {
    return Corrupt(
        fmt::format("the tensors' data_offsets end at {}, but {} data bytes follow the header", at,
                    data_.size()));
  }
  return OkStatus();
}

void Reader::AddTensor(const Entry& entry, FileContent& content) const {
  const std::string name(entry.name);
  if (!entry.format->dtype) {
    content.unreadable.push_back(
        {name, fmt::format("its dtype is {}, which dray does not read", entry.format->name),
         nullptr});
  } else if (entry.dims.size() > Shape::kMaxRank) {
    content.unreadable.push_back({name,
                                  fmt::format("it has {} dimensions, and dray reads at most {}",
                                              entry.dims.size(), int{Shape::kMaxRank}),
                                  nullptr});
  } else {
    const Shape shape{std::span(entry.dims)};
    content.tensors.push_back({.name = name,
                               .dtype = *entry.format->dtype,
                               .shape = shape,
                               .strides = DenseStrides(shape),
                               .data = data_.data() + entry.begin,
                               .file = nullptr});
  }
}

Result<FileContent> Reader::Read() {
  DRAY_ASSIGN_OR_RETURN(const std::string_view text, HeaderText());
  DRAY_ASSIGN_OR_RETURN(const Json header, ParseUntrustedJson(text, path_ + ": header"));
  std::vector<Entry> entries;
  for (const Json::Member& member : *header.AsObject()) {
    if (member.first == kMetadataKey) {
      DRAY_RETURN_IF_ERROR(CheckMetadata(member.second));
      continue;
    }
    DRAY_ASSIGN_OR_RETURN(Entry entry, ReadEntry(member));
    entries.push_back(std::move(entry));
  }
  DRAY_RETURN_IF_ERROR(CheckTiling(entries));
  FileContent content;
  content.tensors.reserve(entries.size());
  for (const Entry& entry : entries) AddTensor(entry, content);
  return content;
}

}  // namespace

Result<FileContent> ReadSafetensors(std::span<const std::byte> bytes, const std::string& path) {
  return Reader(bytes, path).Read();
}

}  // namespace dray::checkpoint
