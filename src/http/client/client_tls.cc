#include "http/client/client_tls.h"

#include <fmt/format.h>
#include <openssl/err.h>
#include <openssl/ssl.h>
#include <openssl/x509_vfy.h>
#include <openssl/x509v3.h>

#include <cerrno>
#include <cstring>
#include <utility>

#include "base/file.h"

namespace dray::http {
namespace {

Status TakeAuthorities(SSL_CTX* context, const std::string& file) {
  if (file.empty()) {
    SSL_CTX_set_default_verify_paths(context);
    return OkStatus();
  }
  // Tells a file that cannot be read from one that holds no certificate.
  constexpr size_t kMaxFileBytes = size_t{16} << 20;
  DRAY_RETURN_IF_ERROR(ReadFile(file, kMaxFileBytes).status());
  if (SSL_CTX_load_verify_file(context, file.c_str()) == 1) return OkStatus();
  return {StatusCode::kInvalidArgument,
          fmt::format("{} holds no certificate in PEM form; name the certificate of the authority "
                      "that signed the server's",
                      file)};
}

}  // namespace

Result<std::shared_ptr<const ClientTls>> ClientTls::Make(const ClientTrust& trust) {
  ERR_clear_error();
  SslContextPtr context(SSL_CTX_new(TLS_client_method()));
  if (context == nullptr) return Status(StatusCode::kInternal, "OpenSSL cannot be used");
  SSL_CTX_set_min_proto_version(context.get(), TLS1_2_VERSION);
  if (trust.check == ClientTrust::Check::kAuthorityAndName) {
    DRAY_RETURN_IF_ERROR(TakeAuthorities(context.get(), trust.authorities_file));
    SSL_CTX_set_verify(context.get(), SSL_VERIFY_PEER, nullptr);
  }
  return std::shared_ptr<const ClientTls>(new ClientTls(std::move(context)));
}

SslPtr ClientTls::NewConnection(const std::string& host) const {
  SslPtr ssl(SSL_new(context_.get()));
  if (ssl == nullptr) return nullptr;
  X509_VERIFY_PARAM* const wanted = SSL_get0_param(ssl.get());
  const bool is_address = X509_VERIFY_PARAM_set1_ip_asc(wanted, host.c_str()) == 1;
  if (is_address) return ssl;
  // A server with several certificates chooses one by the name.
  SSL_set_tlsext_host_name(ssl.get(), host.c_str());
  X509_VERIFY_PARAM_set_hostflags(wanted, X509_CHECK_FLAG_NO_PARTIAL_WILDCARDS);
  X509_VERIFY_PARAM_set1_host(wanted, host.c_str(), host.size());
  return ssl;
}

std::string CertificateProblem(const ssl_st* ssl) {
  const long result = SSL_get_verify_result(ssl);
  return result == X509_V_OK ? "" : X509_verify_cert_error_string(result);
}

}  // namespace dray::http
