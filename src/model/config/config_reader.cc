#include "model/config/config_reader.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>

namespace dray::model {
namespace {

// The value's JSON for a message, cut short if it is long.
std::string Excerpt(const Json& value) {
  constexpr size_t kMaxBytes = 80;
  std::string text = value.Dump();
  if (text.size() > kMaxBytes) text = text.substr(0, kMaxBytes) + "...";
  return text;
}

}  // namespace

const Json* ConfigReader::Find(std::string_view key) {
  read_.emplace(key);
  const Json* value = object_.Find(key);
  return value == nullptr || value->is_null() ? nullptr : value;
}

bool ConfigReader::IsNull(std::string_view key) {
  read_.emplace(key);
  const Json* value = object_.Find(key);
  return value != nullptr && value->is_null();
}

Status ConfigReader::Refuse(std::string_view key, std::string_view reason) const {
  const Json* value = object_.Find(key);
  if (value == nullptr) {
    return {StatusCode::kInvalidArgument, fmt::format("{}: {} {}", where_, key, reason)};
  }
  return {StatusCode::kInvalidArgument,
          fmt::format("{}: {} is {}: {}", where_, key, Excerpt(*value), reason)};
}

Result<int64_t> ConfigReader::Int(std::string_view key, int64_t min, int64_t max) {
  const Json* value = Find(key);
  if (value == nullptr) return Refuse(key, "is missing, and has no default");
  const std::optional<int64_t> number = value->AsInt64();
  if (!number || *number < min || *number > max) {
    return Refuse(key, fmt::format("it must be a whole number from {} to {}", min, max));
  }
  return *number;
}

Result<int64_t> ConfigReader::Int(std::string_view key, int64_t min, int64_t max,
                                  int64_t default_value) {
  if (!Has(key)) return default_value;
  return Int(key, min, max);
}

Result<int64_t> ConfigReader::Int(KeyAndSynonym keys, int64_t min, int64_t max,
                                  int64_t default_value) {
  DRAY_ASSIGN_OR_RETURN(const int64_t value, Int(keys.key, min, max, default_value));
  if (keys.synonym.empty() || !Has(keys.synonym)) return value;
  DRAY_ASSIGN_OR_RETURN(const int64_t synonym, Int(keys.synonym, min, max));
  if (Has(keys.key) && value != synonym) {
    return Refuse(keys.synonym, fmt::format("{}, which means the same, is {}: remove the wrong one",
                                            keys.key, value));
  }
  return synonym;
}

Result<double> ConfigReader::Double(std::string_view key, double default_value) {
  const Json* value = Find(key);
  if (value == nullptr) return default_value;
  const std::optional<double> number = value->AsDouble();
  if (!number || !std::isfinite(*number)) return Refuse(key, "it must be a finite number");
  return *number;
}

Result<double> ConfigReader::Double(std::string_view key, double min, double max) {
  if (!Has(key)) return Refuse(key, "is missing, and has no default");
  DRAY_ASSIGN_OR_RETURN(const double value, Double(key, min));
  if (value < min || value > max) {
    return Refuse(key, fmt::format("it must be a number from {} to {}", min, max));
  }
  return value;
}

Result<bool> ConfigReader::Bool(std::string_view key, bool default_value) {
  const Json* value = Find(key);
  if (value == nullptr) return default_value;
  const std::optional<bool> flag = value->AsBool();
  if (!flag) return Refuse(key, "it must be true or false");
  return *flag;
}

Result<std::string> ConfigReader::String(std::string_view key, std::string_view default_value) {
  const Json* value = Find(key);
  if (value == nullptr) return std::string(default_value);
  const std::string* text = value->AsString();
  if (text == nullptr) return Refuse(key, "it must be a string");
  return *text;
}

Result<std::vector<std::string>> ConfigReader::Names(std::string_view key) {
  std::vector<std::string> names;
  const Json* value = Find(key);
  if (value == nullptr) return names;
  const Json::Array* list = value->AsArray();
  if (list == nullptr) return Refuse(key, "it must be a list of names");
  for (const Json& name : *list) {
    const std::string* text = name.AsString();
    if (text == nullptr) return Refuse(key, "it must be a list of names");
    names.push_back(*text);
  }
  return names;
}

Status ConfigReader::RefuseUnless(std::string_view key, const Json& neutral) {
  const Json* value = Find(key);
  if (value == nullptr || *value == neutral) return OkStatus();
  return RefuseUnsupported(key,
                           fmt::format("dray does not compute that; it serves this family only "
                                       "with {} absent or {}",
                                       key, neutral.Dump()));
}

Status ConfigReader::RefuseUnsupported(std::string_view key, std::string_view reason) const {
  return {StatusCode::kUnsupported, Refuse(key, reason).message()};
}

void ConfigReader::AddUnreadKeysOf(std::string_view key, const ConfigReader& nested) {
  for (const std::string& unread : nested.UnreadKeys()) {
    nested_unread_.push_back(fmt::format("{}.{}", key, unread));
  }
}

std::vector<std::string> ConfigReader::UnreadKeys() const {
  std::vector<std::string> unread;
  for (const auto& [key, value] : *object_.AsObject()) {
    const bool is_new = std::find(unread.begin(), unread.end(), key) == unread.end();
    if (!value.is_null() && !read_.contains(key) && is_new) unread.push_back(key);
  }
  unread.insert(unread.end(), nested_unread_.begin(), nested_unread_.end());
  return unread;
}

}  // namespace dray::model
