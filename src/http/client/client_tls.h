// How a client speaks TLS to a server, and which certificates it takes.
#pragma once

#include <memory>
#include <string>

#include "base/status.h"
#include "http/transport/tls_context.h"

namespace dray::http {

struct ClientTrust {
  // PEM: the authorities that may have signed a server's certificate, or the certificate itself. "": those of the
  // system.
  std::string authorities_file = {};
  enum class Check {
    kAuthorityAndName,  // the certificate must be signed by an authority, and be for the server's name
    kNothing,           // the connection is secret, but nobody vouches for who the server is
  } check = Check::kAuthorityAndName;
};

// Threads: any.
class ClientTls {
 public:
  // Fails if the file cannot be read or holds no certificate; the error names it.
  static Result<std::shared_ptr<const ClientTls>> Make(const ClientTrust& trust);

  // For a connection to `host`, a name or an address. Null if there is no memory for it.
  SslPtr NewConnection(const std::string& host) const;

 private:
  explicit ClientTls(SslContextPtr context) : context_(std::move(context)) {}

  const SslContextPtr context_;
};

// Why the handshake of the connection found the server's certificate wrong; "" if it did not.
std::string CertificateProblem(const ssl_st* ssl);

}  // namespace dray::http
