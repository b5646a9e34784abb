#include "http/client/url.h"

#include <fmt/format.h>

#include "base/parse/parse_number.h"

namespace dray::http {
namespace {

constexpr std::string_view kHttp = "http://";

Status Wrong(std::string_view text) {
  return {StatusCode::kInvalidArgument,
          fmt::format("{} is no address of a server: it must be http://HOST:PORT", text)};
}

bool IsPort(std::string_view text) {
  const auto number = ParseInt64(text);
  return number && *number >= 1 && *number <= 65535;
}

}  // namespace

std::string Url::Authority() const {
  const std::string name = host.find(':') == std::string::npos ? host : "[" + host + "]";
  return port == "80" ? name : name + ":" + port;
}

Result<Url> ParseUrl(std::string_view text) {
  if (text.starts_with("https://")) {
    return Status(StatusCode::kUnsupported,
                  fmt::format("{}: https is not spoken here; put a local proxy before the server, "
                              "or use its http:// address",
                              text));
  }
  if (!text.starts_with(kHttp)) return Wrong(text);
  std::string_view rest = text.substr(kHttp.size());
  if (rest.find_first_of("?# \t\r\n@\"<>\\") != std::string_view::npos) return Wrong(text);
  Url url;
  const size_t slash = rest.find('/');
  if (slash != std::string_view::npos) {
    url.prefix = rest.substr(slash);
    while (url.prefix.ends_with('/')) url.prefix.pop_back();
    rest = rest.substr(0, slash);
  }
  const size_t bracket = rest.find(']');
  const size_t colon = rest.find(':', bracket == std::string_view::npos ? 0 : bracket);
  if (colon != std::string_view::npos) {
    if (!IsPort(rest.substr(colon + 1))) return Wrong(text);
    url.port = rest.substr(colon + 1);
    rest = rest.substr(0, colon);
  }
  if (rest.starts_with('[') && rest.ends_with(']')) rest = rest.substr(1, rest.size() - 2);
  if (rest.empty()) return Wrong(text);
  url.host = rest;
  return url;
}

}  // namespace dray::http
