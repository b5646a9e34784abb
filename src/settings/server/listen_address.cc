#include "settings/server/listen_address.h"

#include <fmt/format.h>

#include "settings/setting_values.h"

namespace dray::settings {
namespace {

constexpr std::string_view kForms = "it must be http://HOST:PORT, https://HOST:PORT or unix:/PATH";
constexpr int64_t kHttpPort = 8080;
constexpr int64_t kHttpsPort = 8443;

}  // namespace

Status SetListenAddress(ListenAddress& out, std::string_view text) {
  constexpr std::string_view kUnix = "unix:";
  ListenAddress address;
  if (text.starts_with(kUnix)) {
    text.remove_prefix(kUnix.size());
    // Netty's form of the same, unix:///PATH.
    while (text.starts_with("//")) text.remove_prefix(1);
    if (!text.starts_with('/') || text.size() == 1) return MustBe(std::string(kForms));
    out = {
        .scheme = ListenAddress::Scheme::kUnix, .host = "", .port = 0, .path = std::string(text)};
    return OkStatus();
  }
  const size_t scheme_end = text.find("://");
  const std::string_view scheme = text.substr(0, scheme_end);
  if (scheme_end == std::string_view::npos || (scheme != "http" && scheme != "https")) {
    return MustBe(std::string(kForms));
  }
  address.scheme = scheme == "https" ? ListenAddress::Scheme::kHttps : ListenAddress::Scheme::kHttp;
  text.remove_prefix(scheme_end + 3);
  if (text.ends_with('/')) text.remove_suffix(1);
  const size_t colon = text.rfind(':');
  const bool has_port =
      colon != std::string_view::npos && text.find(']', colon) == std::string_view::npos;
  std::string_view host = has_port ? text.substr(0, colon) : text;
  if (host.starts_with('[') && host.ends_with(']')) host = host.substr(1, host.size() - 2);
  if (host.empty() || host.find('/') != std::string_view::npos) {
    return MustBe(std::string(kForms));
  }
  int64_t port = scheme == "https" ? kHttpsPort : kHttpPort;
  if (has_port) DRAY_RETURN_IF_ERROR(SetCount(port, text.substr(colon + 1), 0, 65535));
  address.host = host;
  address.port = static_cast<uint16_t>(port);
  out = std::move(address);
  return OkStatus();
}

std::string ToString(const ListenAddress& address) {
  if (address.scheme == ListenAddress::Scheme::kUnix) return "unix:" + address.path;
  const bool brackets = address.host.find(':') != std::string::npos;
  return fmt::format("{}://{}:{}",
                     address.scheme == ListenAddress::Scheme::kHttps ? "https" : "http",
                     brackets ? "[" + address.host + "]" : address.host, address.port);
}

}  // namespace dray::settings
