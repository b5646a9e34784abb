// Where a server listens, and what it answers there.
#pragma once

#include <cstdint>
#include <memory>
#include <string>

#include "http/router.h"

namespace dray::http {

class TlsContext;

struct Endpoint {
  std::string host = "127.0.0.1";
  // 0: any free port, see Server::port().
  uint16_t port = 8080;
  // The file of a Unix socket, in place of host and port.
  std::string unix_path = {};
  // Null: in the clear.
  std::shared_ptr<const TlsContext> tls = {};
  Router router = {};
};

}  // namespace dray::http
