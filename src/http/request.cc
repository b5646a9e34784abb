// Look-ups in requests, and URL decoding.
#include "http/request.h"

#include <algorithm>

namespace dray::http {
namespace {

char ToLower(char c) { return c >= 'A' && c <= 'Z' ? static_cast<char>(c - 'A' + 'a') : c; }

int HexValue(char c) {
  if (c >= '0' && c <= '9') return c - '0';
  const char lower = ToLower(c);
  return lower >= 'a' && lower <= 'f' ? lower - 'a' + 10 : -1;
}

const std::string* FindParameter(const std::vector<Request::Parameter>& parameters,
                                 std::string_view name) {
  for (const Request::Parameter& parameter : parameters) {
    if (parameter.first == name) return &parameter.second;
  }
  return nullptr;
}

}  // namespace

bool EqualsIgnoreCase(std::string_view a, std::string_view b) {
  return a.size() == b.size() && std::equal(a.begin(), a.end(), b.begin(), [](char x, char y) {
           return ToLower(x) == ToLower(y);
         });
}

const std::string* Headers::Find(std::string_view name) const {
  for (const Field& field : fields_) {
    if (EqualsIgnoreCase(field.first, name)) return &field.second;
  }
  return nullptr;
}

size_t Headers::Count(std::string_view name) const {
  return static_cast<size_t>(std::count_if(fields_.begin(), fields_.end(), [&](const Field& field) {
    return EqualsIgnoreCase(field.first, name);
  }));
}

BodyLease Request::DropBody() {
  // Assigning an empty string would keep the memory.
  std::string().swap(body);
  return std::exchange(body_lease, {});
}

const std::string* Request::QueryParameter(std::string_view name) const {
  return FindParameter(query, name);
}

const std::string* Request::PathParameter(std::string_view name) const {
  return FindParameter(path_parameters, name);
}

std::optional<std::string> PercentDecode(std::string_view text, PlusSign plus) {
  std::string out;
  out.reserve(text.size());
  for (size_t i = 0; i < text.size(); ++i) {
    char c = text[i];
    if (c == '+' && plus == PlusSign::kSpace) c = ' ';
    if (c == '%') {
      if (text.size() - i < 3) return std::nullopt;
      const int high = HexValue(text[i + 1]);
      const int low = HexValue(text[i + 2]);
      if (high < 0 || low < 0) return std::nullopt;
      c = static_cast<char>(high * 16 + low);
      i += 2;
    }
    if (c == '\0') return std::nullopt;
    out.push_back(c);
  }
  return out;
}

std::optional<std::vector<Request::Parameter>> ParseQuery(std::string_view query,
                                                          size_t max_parameters) {
  std::vector<Request::Parameter> out;
  while (!query.empty()) {
    const size_t end = std::min(query.find('&'), query.size());
    const std::string_view part = query.substr(0, end);
    query.remove_prefix(std::min(end + 1, query.size()));
    if (part.empty()) continue;
    const size_t equals = std::min(part.find('='), part.size());
    auto name = PercentDecode(part.substr(0, equals), PlusSign::kSpace);
    auto value = PercentDecode(part.substr(std::min(equals + 1, part.size())), PlusSign::kSpace);
    if (!name || !value || out.size() == max_parameters) return std::nullopt;
    out.emplace_back(*std::move(name), *std::move(value));
  }
  return out;
}

}  // namespace dray::http
