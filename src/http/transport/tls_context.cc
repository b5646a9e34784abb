#include "http/transport/tls_context.h"

#include <fmt/format.h>
#include <openssl/err.h>
#include <openssl/pkcs12.h>
#include <openssl/ssl.h>

#include <algorithm>
#include <cerrno>
#include <cstdio>
#include <cstring>
#include <string_view>
#include <utility>

#include "base/log.h"
#include "http/transport/self_signed.h"

namespace dray::http {
namespace {

// The newest reason that OpenSSL gives for a failure.
std::string OpenSslReason() {
  const unsigned long code = ERR_peek_last_error();
  const char* const reason = code == 0 ? nullptr : ERR_reason_error_string(code);
  return reason == nullptr ? "unknown reason" : reason;
}

Status Invalid(std::string message) { return {StatusCode::kInvalidArgument, std::move(message)}; }

Status CheckReadable(std::string_view what, const std::string& path) {
  std::FILE* const file = std::fopen(path.c_str(), "rbe");
  if (file != nullptr) {
    std::fclose(file);
    return OkStatus();
  }
  return {StatusCode::kIo,
          fmt::format("cannot read the {} {}: {}", what, path, std::strerror(errno))};
}

// The password of an encrypted key. Without it OpenSSL would ask for one at the terminal.
int GivePassword(char* buffer, int size, int /*writes*/, void* password) {
  const auto& text = *static_cast<const std::string*>(password);
  if (text.size() > static_cast<size_t>(size)) return 0;
  std::copy(text.begin(), text.end(), buffer);
  return static_cast<int>(text.size());
}

// Takes HTTP/1.1 among the protocols that a client offers.
int ChooseProtocol(SSL* /*ssl*/, const unsigned char** out, unsigned char* out_size,
                   const unsigned char* offered, unsigned int offered_size, void* /*unused*/) {
  static constexpr unsigned char kHttp11[] = "\x08http/1.1";
  unsigned char* chosen = nullptr;
  if (SSL_select_next_proto(&chosen, out_size, kHttp11, sizeof(kHttp11) - 1, offered,
                            offered_size) != OPENSSL_NPN_NEGOTIATED) {
    return SSL_TLSEXT_ERR_NOACK;
  }
  *out = chosen;
  return SSL_TLSEXT_ERR_OK;
}

Status UsePemFiles(SSL_CTX* context, const TlsFiles& files) {
  if (files.certificate_file.empty() || files.private_key_file.empty()) {
    return Invalid("certificate_file and private_key_file belong together; set both");
  }
  DRAY_RETURN_IF_ERROR(CheckReadable("certificate_file", files.certificate_file));
  DRAY_RETURN_IF_ERROR(CheckReadable("private_key_file", files.private_key_file));
  if (SSL_CTX_use_certificate_chain_file(context, files.certificate_file.c_str()) != 1) {
    return Invalid(fmt::format("certificate_file {} holds no certificate in PEM form: {}",
                               files.certificate_file, OpenSslReason()));
  }
  std::string password = files.password;
  SSL_CTX_set_default_passwd_cb(context, GivePassword);
  SSL_CTX_set_default_passwd_cb_userdata(context, &password);
  const bool taken =
      SSL_CTX_use_PrivateKey_file(context, files.private_key_file.c_str(), SSL_FILETYPE_PEM) == 1;
  SSL_CTX_set_default_passwd_cb(context, nullptr);
  SSL_CTX_set_default_passwd_cb_userdata(context, nullptr);
  if (taken) return OkStatus();
  if (ERR_GET_REASON(ERR_peek_last_error()) == X509_R_KEY_VALUES_MISMATCH) {
    return Invalid(fmt::format("private_key_file {} is not the key of certificate_file {}",
                               files.private_key_file, files.certificate_file));
  }
  return Invalid(
      fmt::format("private_key_file {} holds no private key in PEM form that can be read "
                  "with keystore_pass: {}",
                  files.private_key_file, OpenSslReason()));
}

Status UseKeystore(SSL_CTX* context, const TlsFiles& files) {
  DRAY_RETURN_IF_ERROR(CheckReadable("keystore", files.keystore));
  const std::unique_ptr<BIO, decltype(&BIO_free)> bio(BIO_new_file(files.keystore.c_str(), "rb"),
                                                      BIO_free);
  const std::unique_ptr<PKCS12, decltype(&PKCS12_free)> store(
      bio == nullptr ? nullptr : d2i_PKCS12_bio(bio.get(), nullptr), PKCS12_free);
  if (store == nullptr) {
    return Invalid(
        fmt::format("keystore {} is not in PKCS12 form; convert it with keytool "
                    "-importkeystore -deststoretype pkcs12",
                    files.keystore));
  }
  EVP_PKEY* raw_key = nullptr;
  X509* raw_certificate = nullptr;
  STACK_OF(X509)* raw_chain = nullptr;
  const bool parsed = PKCS12_parse(store.get(), files.password.c_str(), &raw_key, &raw_certificate,
                                   &raw_chain) == 1;
  const std::unique_ptr<EVP_PKEY, decltype(&EVP_PKEY_free)> key(raw_key, EVP_PKEY_free);
  const std::unique_ptr<X509, decltype(&X509_free)> certificate(raw_certificate, X509_free);
  const auto free_chain = [](STACK_OF(X509) * chain) { sk_X509_pop_free(chain, X509_free); };
  const std::unique_ptr<STACK_OF(X509), decltype(free_chain)> chain(raw_chain, free_chain);
  if (!parsed) {
    return Invalid(fmt::format("keystore {} cannot be opened with keystore_pass: {}",
                               files.keystore, OpenSslReason()));
  }
  if (key == nullptr || certificate == nullptr) {
    return Invalid(
        fmt::format("keystore {} holds no private key with its certificate", files.keystore));
  }
  if (SSL_CTX_use_cert_and_key(context, certificate.get(), key.get(), chain.get(), 1) != 1) {
    return Invalid(fmt::format("keystore {} cannot be used: {}", files.keystore, OpenSslReason()));
  }
  return OkStatus();
}

Status CheckValidNow(SSL_CTX* context, const std::string& file) {
  X509* const certificate = SSL_CTX_get0_certificate(context);
  const auto text = [](const ASN1_TIME* time) {
    tm parts = {};
    if (ASN1_TIME_to_tm(time, &parts) != 1) return std::string("an unknown time");
    return fmt::format("{:04}-{:02}-{:02} {:02}:{:02} UTC", parts.tm_year + 1900, parts.tm_mon + 1,
                       parts.tm_mday, parts.tm_hour, parts.tm_min);
  };
  const ASN1_TIME* const begin = X509_get0_notBefore(certificate);
  const ASN1_TIME* const end = X509_get0_notAfter(certificate);
  if (X509_cmp_current_time(begin) > 0) {
    return Invalid(fmt::format("the certificate in {} is not valid before {}; check the clock",
                               file, text(begin)));
  }
  if (X509_cmp_current_time(end) < 0) {
    return Invalid(fmt::format("the certificate in {} expired at {}; renew it", file, text(end)));
  }
  return OkStatus();
}

Status UseFiles(SSL_CTX* context, const TlsFiles& files) {
  const bool has_pem = !files.certificate_file.empty() || !files.private_key_file.empty();
  if (!files.keystore.empty() && has_pem) {
    return Invalid(
        "keystore stands beside certificate_file or private_key_file; both tell the server's "
        "certificate; remove one");
  }
  if (has_pem) {
    DRAY_RETURN_IF_ERROR(UsePemFiles(context, files));
    return CheckValidNow(context, files.certificate_file);
  }
  if (!files.keystore.empty()) {
    DRAY_RETURN_IF_ERROR(UseKeystore(context, files));
    return CheckValidNow(context, files.keystore);
  }
  LogWarning(
      "https without certificate_file or keystore: the server signs its certificate itself, and "
      "clients cannot know that it is this server's");
  return UseSelfSignedCertificate(context);
}

}  // namespace

void SslDeleter::operator()(ssl_st* ssl) const { SSL_free(ssl); }
void SslDeleter::operator()(ssl_ctx_st* context) const { SSL_CTX_free(context); }

Result<std::shared_ptr<const TlsContext>> TlsContext::Load(const TlsFiles& files) {
  ERR_clear_error();
  SslContextPtr context(SSL_CTX_new(TLS_server_method()));
  if (context == nullptr) {
    return Status(StatusCode::kInternal, "OpenSSL cannot be used: " + OpenSslReason());
  }
  SSL_CTX_set_min_proto_version(context.get(), TLS1_2_VERSION);
  SSL_CTX_set_options(context.get(), SSL_OP_NO_RENEGOTIATION | SSL_OP_CIPHER_SERVER_PREFERENCE);
  // A connection that waits gives its record buffers back.
  SSL_CTX_set_mode(context.get(), SSL_MODE_RELEASE_BUFFERS);
  SSL_CTX_set_alpn_select_cb(context.get(), ChooseProtocol, nullptr);
  DRAY_RETURN_IF_ERROR(UseFiles(context.get(), files));
  return std::shared_ptr<const TlsContext>(new TlsContext(std::move(context)));
}

SslPtr TlsContext::NewConnection() const { return SslPtr(SSL_new(context_.get())); }

}  // namespace dray::http
