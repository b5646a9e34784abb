#include "checkpoint/gguf/gguf_metadata.h"

#include <fmt/format.h>

#include <set>
#include <string>
#include <utility>

#include "checkpoint/tensor_source.h"

namespace dray::checkpoint {
namespace {

constexpr uint64_t kMaxKeys = 65536;
constexpr uint64_t kMaxKeyBytes = 65535;                  // the format's own limit
constexpr uint64_t kMaxStringBytes = uint64_t{16} << 20;  // chat templates are some kilobytes
// A vocabulary of 2 million tokens with a type and a score each would fit; 160 MB when parsed.
constexpr uint64_t kMaxArrayValues = 4'000'000;
constexpr int kMaxDepth = 4;

enum ValueType : uint32_t {
  kUint8 = 0,
  kInt8 = 1,
  kUint16 = 2,
  kInt16 = 3,
  kUint32 = 4,
  kInt32 = 5,
  kFloat32 = 6,
  kBool = 7,
  kString = 8,
  kArray = 9,
  kUint64 = 10,
  kInt64 = 11,
  kFloat64 = 12,
};

Status Corrupt(std::string message) { return {StatusCode::kCorrupt, std::move(message)}; }

class MetadataReader {
 public:
  explicit MetadataReader(ByteReader& reader) : reader_(reader) {}

  Result<Json> Value(uint32_t type, int depth);

 private:
  // A number of the file's type T, as the JSON constructor J takes it.
  template <typename T, typename J>
  Result<Json> Number() {
    DRAY_ASSIGN_OR_RETURN(const T value, reader_.Read<T>());
    return Json(static_cast<J>(value));
  }
  Result<Json> Bool();
  Result<Json> Array(int depth);

  ByteReader& reader_;
  uint64_t array_values_ = 0;
};

Result<Json> MetadataReader::Value(uint32_t type, int depth) {
  switch (type) {
    case kUint8:
      return Number<uint8_t, int64_t>();
    case kInt8:
      return Number<int8_t, int64_t>();
    case kUint16:
      return Number<uint16_t, int64_t>();
    case kInt16:
      return Number<int16_t, int64_t>();
    case kUint32:
      return Number<uint32_t, int64_t>();
    case kInt32:
      return Number<int32_t, int64_t>();
    case kFloat32:
      return Number<float, float>();
    case kBool:
      return Bool();
    case kString: {
      DRAY_ASSIGN_OR_RETURN(const auto text, ReadGgufString(reader_, kMaxStringBytes));
      return Json(text);
    }
    case kArray:
      return Array(depth + 1);
    case kUint64:
      return Number<uint64_t, uint64_t>();
    case kInt64:
      return Number<int64_t, int64_t>();
    case kFloat64:
      return Number<double, double>();
    default:
      return Corrupt(fmt::format("its type is {}, which does not exist", type));
  }
}

Result<Json> MetadataReader::Bool() {
  DRAY_ASSIGN_OR_RETURN(const uint8_t value, reader_.Read<uint8_t>());
  if (value > 1) return Corrupt(fmt::format("a boolean is {}", value));
  return Json(value == 1);
}

Result<Json> MetadataReader::Array(int depth) {
  if (depth > kMaxDepth) {
    return Status(StatusCode::kResourceExhausted,
                  fmt::format("arrays lie more than {} deep in each other", kMaxDepth));
  }
  DRAY_ASSIGN_OR_RETURN(const auto type, reader_.Read<uint32_t>());
  DRAY_ASSIGN_OR_RETURN(const auto count, reader_.Read<uint64_t>());
  if (type > kFloat64)
    return Corrupt(fmt::format("its elements' type is {}, which does not exist", type));
  // No element takes less than a byte, so that a false count is found before memory is asked for.
  if (count > reader_.remaining()) {
    return Corrupt(fmt::format("{} elements are wanted, but only {} bytes are left", count,
                               reader_.remaining()));
  }
  if (count > kMaxArrayValues - array_values_) {
    return Status(StatusCode::kResourceExhausted,
                  fmt::format("with {} more elements the file's arrays hold above {}", count,
                              kMaxArrayValues));
  }
  array_values_ += count;
  Json::Array values;
  values.reserve(count);
  for (uint64_t i = 0; i < count; ++i) {
    DRAY_ASSIGN_OR_RETURN(Json value, Value(type, depth));
    values.push_back(std::move(value));
  }
  return Json(std::move(values));
}

}  // namespace

Result<std::string_view> ReadGgufString(ByteReader& reader, uint64_t max_bytes) {
  DRAY_ASSIGN_OR_RETURN(const auto size, reader.Read<uint64_t>());
  if (size > max_bytes) {
    return Corrupt(fmt::format("a text of {} bytes is above the limit of {}", size, max_bytes));
  }
  return reader.ReadText(size);
}

Result<Json> ReadGgufMetadata(ByteReader& reader, uint64_t count) {
  if (count > kMaxKeys) {
    return Status(StatusCode::kResourceExhausted,
                  fmt::format("{} metadata keys are above the limit of {}", count, kMaxKeys));
  }
  Json::Object members;
  std::set<std::string, std::less<>> keys;
  MetadataReader values(reader);
  for (uint64_t i = 0; i < count; ++i) {
    const auto name = ReadGgufString(reader, kMaxKeyBytes);
    if (!name.ok()) {
      return name.status().WithPrefix(fmt::format("metadata key {} of {}", i + 1, count));
    }
    const std::string_view key = *name;
    if (key.empty()) return Corrupt(fmt::format("metadata key {} of {} is empty", i + 1, count));
    if (!keys.emplace(key).second) {
      return Corrupt(fmt::format("metadata key {} stands there twice", Quoted(key)));
    }
    DRAY_ASSIGN_OR_RETURN(const auto type, reader.Read<uint32_t>());
    auto value = values.Value(type, 0);
    if (!value.ok()) return value.status().WithPrefix(fmt::format("metadata key {}", Quoted(key)));
    members.emplace_back(key, std::move(value).value());
  }
  return Json(std::move(members));
}

}  // namespace dray::checkpoint
