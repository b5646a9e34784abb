#include "http/transport/self_signed.h"

#include <openssl/evp.h>
#include <openssl/ssl.h>
#include <openssl/x509v3.h>

#include <memory>

namespace dray::http {
namespace {

constexpr long kYearSeconds = 365L * 24 * 3600;

// False if OpenSSL has no memory or no random numbers.
bool FillCertificate(X509* certificate, EVP_PKEY* key) {
  // Version 3 is written as 2.
  bool ok = X509_set_version(certificate, 2) == 1;
  ok = ok && ASN1_INTEGER_set(X509_get_serialNumber(certificate), 1) == 1;
  ok = ok && X509_gmtime_adj(X509_getm_notBefore(certificate), 0) != nullptr;
  ok = ok && X509_gmtime_adj(X509_getm_notAfter(certificate), kYearSeconds) != nullptr;
  ok = ok && X509_set_pubkey(certificate, key) == 1;
  X509_NAME* const name = X509_get_subject_name(certificate);
  const auto* const host = reinterpret_cast<const unsigned char*>("localhost");
  ok = ok && X509_NAME_add_entry_by_txt(name, "CN", MBSTRING_ASC, host, -1, -1, 0) == 1;
  ok = ok && X509_set_issuer_name(certificate, name) == 1;
  const std::unique_ptr<X509_EXTENSION, decltype(&X509_EXTENSION_free)> names(
      X509V3_EXT_conf_nid(nullptr, nullptr, NID_subject_alt_name,
                          "DNS:localhost,IP:127.0.0.1,IP:::1"),
      X509_EXTENSION_free);
  ok = ok && names != nullptr && X509_add_ext(certificate, names.get(), -1) == 1;
  return ok && X509_sign(certificate, key, EVP_sha256()) > 0;
}

}  // namespace

Status UseSelfSignedCertificate(ssl_ctx_st* context) {
  const std::unique_ptr<EVP_PKEY, decltype(&EVP_PKEY_free)> key(EVP_EC_gen("P-256"), EVP_PKEY_free);
  const std::unique_ptr<X509, decltype(&X509_free)> certificate(X509_new(), X509_free);
  if (key != nullptr && certificate != nullptr && FillCertificate(certificate.get(), key.get()) &&
      SSL_CTX_use_certificate(context, certificate.get()) == 1 &&
      SSL_CTX_use_PrivateKey(context, key.get()) == 1) {
    return OkStatus();
  }
  return {StatusCode::kInternal,
          "OpenSSL cannot make a certificate; set certificate_file and private_key_file"};
}

}  // namespace dray::http
