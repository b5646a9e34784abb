#include "http/client/url.h"

#include <fmt/format.h>

#include "base/parse/parse_number.h"

namespace dray::http {
namespace {

constexpr std::string_view kHttp = "http://";
constexpr std::string_view kHttps = "https://";

const char* DefaultPort(bool tls) { return tls ? "443" : "80"; }

Status Wrong(std::string_view text) {
  return {
      StatusCode::kInvalidArgument,
      fmt::format("{} is no address of a server: it must be http://HOST:PORT or https://HOST:PORT",
                  text)};
}

bool IsPort(std::string_view text) {
  const auto number = ParseInt64(text);
  return number && *number >= 1 && *number <= 65535;
}

}  // namespace

std::string Url::Authority() const {
  const std::string name = host.find(':') == std::string::npos ? host : "[" + host + "]";
  return port == DefaultPort(tls) ? name : name + ":" + port;
}

std::string Url::ToString() const {
  return fmt::format("{}{}{}", tls ? kHttps : kHttp, Authority(), prefix);
}

Result<Url> ParseUrl(std::string_view text) {
  Url url;
  url.tls = text.starts_with(kHttps);
  url.port = DefaultPort(url.tls);
  if (!url.tls && !text.starts_with(kHttp)) return Wrong(text);
  std::string_view rest = text.substr(url.tls ? kHttps.size() : kHttp.size());
  if (rest.find_first_of("?# \t\r\n@\"<>\\") != std::string_view::npos) return Wrong(text);
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
