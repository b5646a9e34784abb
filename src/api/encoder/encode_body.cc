#include "api/encoder/encode_body.h"

#include <fmt/format.h>

#include <utility>

namespace dray::api {
namespace {

// 2048 texts of 512 tokens each, as numbers, and some.
constexpr size_t kMaxValues = size_t{1} << 21;

Status Invalid(std::string message) { return {StatusCode::kInvalidArgument, std::move(message)}; }

}  // namespace

Result<Json> ParseEncodeBody(std::string_view body) {
  if (body.empty()) return Invalid("the request has no body; send a JSON object");
  auto json = Json::Parse(body, {.max_depth = 16, .max_values = kMaxValues});
  if (!json.ok()) {
    return Invalid("the body is not JSON that can be read: " + json.status().message());
  }
  if (!json->is_object()) {
    return Invalid(fmt::format("the body must be a JSON object, not a {}", json->KindName()));
  }
  return json;
}

Status ReadText(std::string_view field, Json& value, EmptyText empty, std::string& text) {
  std::string* const string = value.AsString();
  if (string == nullptr) {
    return Invalid(fmt::format("\"{}\" must be a string, not a {}", field, value.KindName()));
  }
  if (string->empty() && empty == EmptyText::kRefuse) {
    return Invalid(fmt::format("\"{}\" must not be empty", field));
  }
  text = std::move(*string);
  return OkStatus();
}

Status ReadTexts(std::string_view field, Json& value, EmptyText empty,
                 std::vector<serving::EncodeInput>& inputs) {
  const auto add = [&](Json& one) -> Status {
    serving::InputText input;
    DRAY_RETURN_IF_ERROR(ReadText(field, one, empty, input.text));
    inputs.emplace_back(std::move(input));
    return OkStatus();
  };
  Json::Array* const list = value.AsArray();
  if (list == nullptr) {
    if (value.is_string()) return add(value);
    return Invalid(fmt::format("\"{}\" must be a string or a list of strings, not a {}", field,
                               value.KindName()));
  }
  if (list->empty() || list->size() > kMaxTexts) {
    return Invalid(
        fmt::format("\"{}\" has {} texts; send 1 to {}", field, list->size(), kMaxTexts));
  }
  for (Json& one : *list) DRAY_RETURN_IF_ERROR(add(one));
  return OkStatus();
}

Result<bool> ReadFlag(const Json& body, std::string_view field, bool otherwise) {
  const Json* const value = body.Find(field);
  if (value == nullptr || value->is_null()) return otherwise;
  const auto flag = value->AsBool();
  if (!flag) return Invalid(fmt::format("\"{}\" must be true or false", field));
  return *flag;
}

Result<Json*> RequireMember(Json& body, std::string_view field) {
  auto* const value = const_cast<Json*>(body.Find(field));
  if (value == nullptr || value->is_null()) {
    return Invalid(fmt::format("\"{}\" is missing", field));
  }
  return value;
}

}  // namespace dray::api
