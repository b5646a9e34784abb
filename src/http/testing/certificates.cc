#include "http/testing/certificates.h"

#include <openssl/evp.h>
#include <openssl/pem.h>
#include <openssl/pkcs12.h>
#include <openssl/x509.h>

#include <cstdio>
#include <memory>

namespace dray::http {
namespace {

using Bio = std::unique_ptr<BIO, decltype(&BIO_free)>;

std::string TextOf(BIO* bio) {
  char* data = nullptr;
  const long size = BIO_get_mem_data(bio, &data);
  return {data, static_cast<size_t>(size)};
}

Bio Reader(const std::string& text) {
  return {BIO_new_mem_buf(text.data(), static_cast<int>(text.size())), BIO_free};
}

}  // namespace

TestCertificate MakeTestCertificate(long begin_s, long end_s) {
  const std::unique_ptr<EVP_PKEY, decltype(&EVP_PKEY_free)> key(EVP_EC_gen("P-256"), EVP_PKEY_free);
  const std::unique_ptr<X509, decltype(&X509_free)> certificate(X509_new(), X509_free);
  X509_set_version(certificate.get(), 2);
  ASN1_INTEGER_set(X509_get_serialNumber(certificate.get()), 1);
  X509_gmtime_adj(X509_getm_notBefore(certificate.get()), begin_s);
  X509_gmtime_adj(X509_getm_notAfter(certificate.get()), end_s);
  X509_set_pubkey(certificate.get(), key.get());
  X509_NAME* const name = X509_get_subject_name(certificate.get());
  X509_NAME_add_entry_by_txt(name, "CN", MBSTRING_ASC,
                             reinterpret_cast<const unsigned char*>("localhost"), -1, -1, 0);
  X509_set_issuer_name(certificate.get(), name);
  X509_sign(certificate.get(), key.get(), EVP_sha256());
  const Bio certificate_text(BIO_new(BIO_s_mem()), BIO_free);
  const Bio key_text(BIO_new(BIO_s_mem()), BIO_free);
  PEM_write_bio_X509(certificate_text.get(), certificate.get());
  PEM_write_bio_PrivateKey(key_text.get(), key.get(), nullptr, nullptr, 0, nullptr, nullptr);
  return {.certificate = TextOf(certificate_text.get()), .key = TextOf(key_text.get())};
}

void WriteTestKeystore(const TestCertificate& certificate, const std::string& password,
                       const std::string& path) {
  const Bio certificate_text = Reader(certificate.certificate);
  const Bio key_text = Reader(certificate.key);
  const std::unique_ptr<X509, decltype(&X509_free)> x509(
      PEM_read_bio_X509(certificate_text.get(), nullptr, nullptr, nullptr), X509_free);
  const std::unique_ptr<EVP_PKEY, decltype(&EVP_PKEY_free)> key(
      PEM_read_bio_PrivateKey(key_text.get(), nullptr, nullptr, nullptr), EVP_PKEY_free);
  const std::unique_ptr<PKCS12, decltype(&PKCS12_free)> store(
      PKCS12_create(password.c_str(), "server", key.get(), x509.get(), nullptr, 0, 0, 0, 0, 0),
      PKCS12_free);
  const Bio file(BIO_new_file(path.c_str(), "wb"), BIO_free);
  i2d_PKCS12_bio(file.get(), store.get());
}

}  // namespace dray::http
