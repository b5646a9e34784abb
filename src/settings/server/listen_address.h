// Where a server listens, as DJLServing's addresses say it: http://HOST:PORT, https://HOST:PORT or unix:/PATH.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

#include "base/status.h"

namespace dray::settings {

struct ListenAddress {
  enum class Scheme { kHttp, kHttps, kUnix };
  Scheme scheme = Scheme::kHttp;
  std::string host = "127.0.0.1";
  // 0: any free one.
  uint16_t port = 8080;
  // Of kUnix.
  std::string path;

  bool operator==(const ListenAddress&) const = default;
};

// Sets `out`. An address without a port means 8080, and 8443 for https. kInvalidArgument says what the
// address must be.
Status SetListenAddress(ListenAddress& out, std::string_view text);

// "https://0.0.0.0:8443", "unix:/run/dray.sock"; a host with colons stands in brackets.
std::string ToString(const ListenAddress& address);

}  // namespace dray::settings
