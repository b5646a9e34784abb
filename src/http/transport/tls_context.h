// The certificate and the private key with which a server answers inside TLS, versions 1.2 and 1.3.
#pragma once

#include <memory>
#include <string>

#include "base/status.h"

// OpenSSL's types.
struct ssl_st;
struct ssl_ctx_st;

namespace dray::http {

struct SslDeleter {
  void operator()(ssl_st* ssl) const;
  void operator()(ssl_ctx_st* context) const;
};
using SslPtr = std::unique_ptr<ssl_st, SslDeleter>;
using SslContextPtr = std::unique_ptr<ssl_ctx_st, SslDeleter>;

// Where certificate and key are: in two PEM files, or in one PKCS #12 file (a keystore). Without any of
// them, the server makes a key and signs its certificate itself.
struct TlsFiles {
  // The server's certificate, followed by those of the authorities between it and the client's root.
  std::string certificate_file = {};
  std::string private_key_file = {};
  std::string keystore = {};
  // Of the keystore, or of a private key that is encrypted.
  std::string password = {};
};

// Threads: any.
class TlsContext {
 public:
  // Fails if the files contradict each other, cannot be read, do not fit together, or if the certificate
  // is not valid now. The error names the file.
  static Result<std::shared_ptr<const TlsContext>> Load(const TlsFiles& files);

  // Null if there is no memory for it.
  SslPtr NewConnection() const;

 private:
  explicit TlsContext(SslContextPtr context) : context_(std::move(context)) {}
  const SslContextPtr context_;
};

}  // namespace dray::http
