#include "artifact/fields.h"

#include <fmt/format.h>

#include <cmath>

#include "artifact/checksum.h"

namespace dray::artifact {

Status Fields::Refuse(std::string_view key, std::string_view wanted) const {
  constexpr size_t kShown = 60;
  const Json* value = object_.Find(key);
  const std::string shown = value == nullptr ? "missing" : "is " + value->Dump().substr(0, kShown);
  return {StatusCode::kCorrupt,
          fmt::format("{}: {} {}: it must be {}", where_, key, shown, wanted)};
}

Result<int64_t> Fields::Integer(std::string_view key, int64_t least, int64_t most) const {
  const Json* value = object_.Find(key);
  const auto number = value == nullptr ? std::nullopt : value->AsInt64();
  if (number && *number >= least && *number <= most) return *number;
  return Refuse(key, fmt::format("a whole number from {} to {}", least, most));
}

Result<double> Fields::Number(std::string_view key) const {
  const Json* value = object_.Find(key);
  const auto number = value == nullptr ? std::nullopt : value->AsDouble();
  if (number && std::isfinite(*number)) return *number;
  return Refuse(key, "a number");
}

Result<bool> Fields::Flag(std::string_view key) const {
  const Json* value = object_.Find(key);
  const auto flag = value == nullptr ? std::nullopt : value->AsBool();
  if (flag) return *flag;
  return Refuse(key, "true or false");
}

Result<std::string> Fields::Text(std::string_view key) const {
  const Json* value = object_.Find(key);
  const std::string* text = value == nullptr ? nullptr : value->AsString();
  if (text != nullptr) return *text;
  return Refuse(key, "a text");
}

Result<uint64_t> Fields::ChecksumOf(std::string_view key) const {
  const Json* value = object_.Find(key);
  const std::string* text = value == nullptr ? nullptr : value->AsString();
  const auto checksum = text == nullptr ? std::nullopt : ParseChecksum(*text);
  if (checksum) return *checksum;
  return Refuse(key, "16 hexadecimal digits");
}

Result<const Json::Array*> Fields::List(std::string_view key) const {
  const Json* value = object_.Find(key);
  const Json::Array* list = value == nullptr ? nullptr : value->AsArray();
  if (list != nullptr) return list;
  return Refuse(key, "a list");
}

Result<const Json*> Fields::Object(std::string_view key) const {
  const Json* value = object_.Find(key);
  if (value != nullptr && value->is_object()) return value;
  return Refuse(key, "an object");
}

}  // namespace dray::artifact
