#include "tokenizer/json_node.h"

#include <fmt/format.h>

#include "tokenizer/text/utf8.h"

namespace dray::tokenizer {
namespace {

constexpr size_t kMaxQuotedBytes = 60;

}  // namespace

std::string QuoteText(std::string_view text) {
  if (text.size() <= kMaxQuotedBytes) return fmt::format("\"{}\"", text);
  return fmt::format("\"{}...\"", text.substr(0, CharBoundaryBefore(text, kMaxQuotedBytes)));
}

Status JsonNode::Error(StatusCode code, std::string_view problem) const {
  return {code, fmt::format("{}: {}", path_.empty() ? "(the whole file)" : path_, problem)};
}

Status JsonNode::Unknown(std::string_view value, std::string_view known) const {
  return Error(StatusCode::kUnsupported,
               fmt::format("{} is not one of {}", QuoteText(value), known));
}

Result<std::optional<JsonNode>> JsonNode::Find(std::string_view key) const {
  if (!value_->is_object()) {
    return Error(StatusCode::kInvalidArgument,
                 fmt::format("must be an object, not a {}", value_->KindName()));
  }
  const Json* member = value_->Find(key);
  if (member == nullptr || member->is_null()) return std::optional<JsonNode>();
  std::string path = path_.empty() ? std::string(key) : fmt::format("{}.{}", path_, key);
  return std::optional<JsonNode>(JsonNode(*member, std::move(path)));
}

Result<JsonNode> JsonNode::Get(std::string_view key) const {
  DRAY_ASSIGN_OR_RETURN(auto member, Find(key));
  if (!member) {
    return Error(StatusCode::kInvalidArgument,
                 fmt::format("the field {} is missing", QuoteText(key)));
  }
  return *std::move(member);
}

Result<std::vector<JsonNode>> JsonNode::Elements() const {
  const Json::Array* array = value_->AsArray();
  if (array == nullptr) {
    return Error(StatusCode::kInvalidArgument,
                 fmt::format("must be an array, not a {}", value_->KindName()));
  }
  std::vector<JsonNode> nodes;
  nodes.reserve(array->size());
  for (size_t i = 0; i < array->size(); ++i) {
    nodes.emplace_back((*array)[i], fmt::format("{}[{}]", path_, i));
  }
  return nodes;
}

Result<std::string> JsonNode::AsString() const {
  if (const std::string* text = value_->AsString()) return *text;
  return Error(StatusCode::kInvalidArgument,
               fmt::format("must be a string, not a {}", value_->KindName()));
}

Result<int64_t> JsonNode::AsCount(int64_t limit) const {
  const auto number = value_->AsInt64();
  if (!number) {
    return Error(StatusCode::kInvalidArgument,
                 fmt::format("must be an integer, not {}", value_->Dump().substr(0, 40)));
  }
  if (*number < 0 || *number > limit) {
    return Error(StatusCode::kInvalidArgument, fmt::format("{} is outside 0..{}", *number, limit));
  }
  return *number;
}

Result<std::string> JsonNode::GetString(std::string_view key) const {
  DRAY_ASSIGN_OR_RETURN(const JsonNode member, Get(key));
  return member.AsString();
}

Result<std::string> JsonNode::GetString(std::string_view key, std::string_view missing) const {
  DRAY_ASSIGN_OR_RETURN(auto text, FindString(key));
  return text ? *std::move(text) : std::string(missing);
}

Result<std::optional<std::string>> JsonNode::FindString(std::string_view key) const {
  DRAY_ASSIGN_OR_RETURN(const auto member, Find(key));
  if (!member) return std::optional<std::string>();
  DRAY_ASSIGN_OR_RETURN(std::string text, member->AsString());
  return std::optional<std::string>(std::move(text));
}

Result<bool> JsonNode::GetBool(std::string_view key) const {
  DRAY_ASSIGN_OR_RETURN(const JsonNode member, Get(key));
  if (const auto value = member.value().AsBool()) return *value;
  return member.Error(StatusCode::kInvalidArgument,
                      fmt::format("must be true or false, not a {}", member.value().KindName()));
}

Result<bool> JsonNode::GetBool(std::string_view key, bool missing) const {
  DRAY_ASSIGN_OR_RETURN(const auto member, Find(key));
  if (!member) return missing;
  return GetBool(key);
}

Result<int64_t> JsonNode::GetCount(std::string_view key, int64_t limit) const {
  DRAY_ASSIGN_OR_RETURN(const JsonNode member, Get(key));
  return member.AsCount(limit);
}

Result<char32_t> JsonNode::GetChar(std::string_view key) const {
  DRAY_ASSIGN_OR_RETURN(const JsonNode member, Get(key));
  DRAY_ASSIGN_OR_RETURN(const std::string text, member.AsString());
  if (CountChars(text) != 1) {
    return member.Error(StatusCode::kInvalidArgument,
                        fmt::format("must be one character, not {}", QuoteText(text)));
  }
  return DecodeChar(text, 0).code;
}

}  // namespace dray::tokenizer
