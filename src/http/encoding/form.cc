// The multipart grammar is read strictly: lines end with CRLF, every part is closed by its boundary, and the
// last one by the closing boundary.
#include "http/encoding/form.h"

#include <fmt/format.h>

#include <algorithm>
#include <optional>
#include <utility>

#include "http/grammar.h"

namespace dray::http {
namespace {

constexpr std::string_view kMultipart = "multipart/form-data";
constexpr std::string_view kUrlEncoded = "application/x-www-form-urlencoded";

Status Invalid(std::string message) { return {StatusCode::kInvalidArgument, std::move(message)}; }

// A token or a quoted string at the beginning of `text`, which is then behind it. Nothing if there is neither.
std::optional<std::string> TakeWord(std::string_view& text) {
  std::string word;
  if (!text.starts_with('"')) {
    const size_t end = std::min(text.find_first_of("; \t"), text.size());
    word = text.substr(0, end);
    text.remove_prefix(end);
    if (!IsToken(word)) return std::nullopt;
    return word;
  }
  for (size_t i = 1; i < text.size(); ++i) {
    if (text[i] == '"') {
      text.remove_prefix(i + 1);
      return word;
    }
    // Browsers write %22 for a quotation mark, others a backslash before it.
    if (text[i] == '\\' && i + 1 < text.size()) ++i;
    word += text[i];
  }
  return std::nullopt;
}

// The value of the parameter `name` in "type; name=value; other=\"value\"". Nothing if there is none, or if
// what stands there is no parameter.
std::optional<std::string> FindParameter(std::string_view header, std::string_view name) {
  size_t semicolon = header.find(';');
  std::string_view rest = header.substr(std::min(semicolon, header.size()));
  while (rest.starts_with(';')) {
    rest = Trim(rest.substr(1));
    const size_t equals = rest.find('=');
    if (equals == std::string_view::npos) return std::nullopt;
    const std::string_view key = Trim(rest.substr(0, equals));
    rest.remove_prefix(equals + 1);
    auto value = TakeWord(rest);
    if (!value) return std::nullopt;
    if (EqualsIgnoreCase(key, name)) return value;
    rest = Trim(rest);
  }
  return std::nullopt;
}

Status ReadPartHeader(std::string_view line, FormField& field) {
  const size_t colon = line.find(':');
  const std::string_view name = line.substr(0, colon);
  if (colon == std::string_view::npos || !IsToken(name)) {
    return Invalid("a header of a form's part is not NAME: VALUE");
  }
  const std::string_view value = Trim(line.substr(colon + 1));
  if (!std::all_of(value.begin(), value.end(), IsFieldChar)) {
    return Invalid("a header of a form's part holds a control character");
  }
  if (EqualsIgnoreCase(name, "Content-Type")) field.content_type = value;
  if (EqualsIgnoreCase(name, "Content-Disposition")) {
    if (!EqualsIgnoreCase(MediaType(value), "form-data")) {
      return Invalid("the Content-Disposition of a form's part must be form-data");
    }
    field.name = FindParameter(value, "name").value_or("");
  }
  if (EqualsIgnoreCase(name, "Content-Transfer-Encoding") && !EqualsIgnoreCase(value, "binary") &&
      !EqualsIgnoreCase(value, "8bit") && !EqualsIgnoreCase(value, "7bit")) {
    return Invalid("a form's part must be sent as it is, without Content-Transfer-Encoding");
  }
  return OkStatus();
}

// A part without the boundaries around it: headers, an empty line, the value.
Result<FormField> ReadPart(std::string_view part) {
  constexpr std::string_view kEmptyLine = "\r\n\r\n";
  FormField field;
  const size_t headers_end = part.find(kEmptyLine);
  if (headers_end == std::string_view::npos || headers_end > kMaxPartHeaderBytes) {
    return Invalid(fmt::format(
        "the headers of a form's part must end with an empty line after at most {} bytes",
        kMaxPartHeaderBytes));
  }
  std::string_view headers = part.substr(0, headers_end);
  while (!headers.empty()) {
    const size_t end = std::min(headers.find("\r\n"), headers.size());
    DRAY_RETURN_IF_ERROR(ReadPartHeader(headers.substr(0, end), field));
    headers.remove_prefix(std::min(end + 2, headers.size()));
  }
  if (field.name.empty()) return Invalid("a part of the form has no name");
  field.value = part.substr(headers_end + kEmptyLine.size());
  return field;
}

Result<std::vector<FormField>> ParseMultipart(std::string_view content_type,
                                              std::string_view body) {
  const auto boundary = FindParameter(content_type, "boundary");
  // RFC 2046, 5.1.1.
  constexpr size_t kMaxBoundaryBytes = 70;
  if (!boundary || boundary->empty() || boundary->size() > kMaxBoundaryBytes) {
    return Invalid(fmt::format("{} must name its boundary, of 1 to {} characters", kMultipart,
                               kMaxBoundaryBytes));
  }
  const std::string delimiter = "\r\n--" + *boundary;
  // The first boundary may stand at the body's very beginning, or after a preamble.
  size_t begin = std::string_view::npos;
  if (body.starts_with(std::string_view(delimiter).substr(2))) {
    begin = delimiter.size() - 2;
  } else if (const size_t found = body.find(delimiter); found != std::string_view::npos) {
    begin = found + delimiter.size();
  }
  std::vector<FormField> fields;
  while (begin != std::string_view::npos) {
    std::string_view rest = body.substr(begin);
    if (rest.starts_with("--")) return fields;
    while (rest.starts_with(' ') || rest.starts_with('\t')) rest.remove_prefix(1);
    if (!rest.starts_with("\r\n")) break;
    rest.remove_prefix(2);
    const size_t end = rest.find(delimiter);
    if (end == std::string_view::npos) break;
    if (fields.size() == kMaxFormFields) {
      return Invalid(fmt::format("the form has more than {} fields", kMaxFormFields));
    }
    DRAY_ASSIGN_OR_RETURN(fields.emplace_back(), ReadPart(rest.substr(0, end)));
    begin = body.size() - rest.size() + end + delimiter.size();
  }
  return Invalid("the form does not end with its boundary and two hyphens");
}

}  // namespace

std::string_view MediaType(std::string_view content_type) {
  return Trim(content_type.substr(0, content_type.find(';')));
}

bool IsForm(std::string_view content_type) {
  const std::string_view media = MediaType(content_type);
  return EqualsIgnoreCase(media, kMultipart) || EqualsIgnoreCase(media, kUrlEncoded);
}

Result<std::vector<FormField>> ParseForm(std::string_view content_type, std::string_view body) {
  if (EqualsIgnoreCase(MediaType(content_type), kMultipart)) {
    return ParseMultipart(content_type, body);
  }
  auto parameters = ParseQuery(body, kMaxFormFields);
  if (!parameters) {
    return Invalid(fmt::format("the form is not NAME=VALUE&... in {}, or has more than {} fields",
                               kUrlEncoded, kMaxFormFields));
  }
  std::vector<FormField> fields;
  for (auto& [name, value] : *parameters) {
    fields.push_back({.name = std::move(name), .content_type = "", .value = std::move(value)});
  }
  return fields;
}

}  // namespace dray::http
