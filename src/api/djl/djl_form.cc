#include "api/djl/djl_form.h"

#include <fmt/format.h>

#include <algorithm>
#include <utility>

#include "api/djl/djl_body.h"
#include "base/parse/json.h"

namespace dray::api {
namespace {

using http::FormField;

bool IsCallField(const FormField& field) {
  return field.name == "inputs" || field.name == "parameters" || field.name == "stream";
}

// A field that holds a whole body. Its type decides; without one, what it looks like.
Result<GenerateCall> MakeBodyCall(FormField field, const CallReader& reader) {
  const std::string_view media = http::MediaType(field.content_type);
  const size_t first = field.value.find_first_not_of(" \t\r\n");
  const bool looks_like_json = first != std::string::npos && field.value[first] == '{';
  if (http::EqualsIgnoreCase(media, "application/json") || (media.empty() && looks_like_json)) {
    return reader.ReadJson(field.value);
  }
  if (media.empty() || http::EqualsIgnoreCase(media, "text/plain")) {
    return reader.ReadText(std::move(field.value));
  }
  return InvalidBody(
      fmt::format("field \"{}\" of the form is of type {}; it must be application/json "
                  "or text/plain",
                  field.name.substr(0, 100), media.substr(0, 100)));
}

// What "inputs", "parameters" and "stream" say, as the body of a request in JSON.
Result<Json> MakeBody(std::vector<FormField> form) {
  Json body = Json::MakeObject();
  Json inputs = Json::MakeArray();
  for (FormField& field : form) {
    if (field.name == "inputs") {
      inputs.Append(Json(std::move(field.value)));
    } else if (field.name == "stream") {
      if (field.value != "true" && field.value != "false") {
        return InvalidBody("field \"stream\" of the form must be true or false");
      }
      body.Set("stream", field.value == "true");
    } else if (field.name == "parameters") {
      auto parameters =
          Json::Parse(field.value, {.max_depth = kMaxJsonDepth, .max_values = kMaxJsonValues});
      if (!parameters.ok()) {
        return InvalidBody(fmt::format("field \"parameters\" of the form is not JSON: {}",
                                       parameters.status().message()));
      }
      body.Set("parameters", std::move(parameters).value());
    } else {
      return InvalidBody(
          fmt::format("field \"{}\" of the form is not known; the fields are data, or "
                      "inputs, parameters, stream",
                      field.name.substr(0, 100)));
    }
  }
  if (inputs.AsArray()->size() == 1) {
    body.Set("inputs", std::move(inputs.AsArray()->front()));
  } else if (!inputs.AsArray()->empty()) {
    body.Set("inputs", std::move(inputs));
  }
  return body;
}

}  // namespace

std::string FindFormProperty(const http::Request& request, std::string_view name) {
  const std::string* const type = request.headers.Find("Content-Type");
  if (type == nullptr || !http::IsForm(*type)) return "";
  auto form = http::ParseForm(*type, request.body);
  if (!form.ok()) return "";
  for (FormField& field : *form) {
    if (field.name == name) return std::move(field.value);
  }
  return "";
}

Result<GenerateCall> MakeDjlFormCall(std::vector<FormField> form, const CallReader& reader) {
  std::erase_if(form, [](const FormField& field) {
    return field.name == "model_name" || field.name == "model_version";
  });
  const auto data = std::find_if(form.begin(), form.end(),
                                 [](const FormField& field) { return field.name == "data"; });
  if (data != form.end() && form.size() > 1) {
    return InvalidBody(
        "the form has a field \"data\", which is a whole body, and others beside it");
  }
  if (form.size() == 1 && !IsCallField(form.front())) {
    return MakeBodyCall(std::move(form.front()), reader);
  }
  DRAY_ASSIGN_OR_RETURN(Json body, MakeBody(std::move(form)));
  return reader.ReadBody(std::move(body));
}

}  // namespace dray::api
