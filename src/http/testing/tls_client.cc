#include "http/testing/tls_client.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <openssl/ssl.h>
#include <sys/socket.h>
#include <unistd.h>

namespace dray::http {

TlsClient::TlsClient(uint16_t port, int version) {
  fd_ = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
  // A server that does not answer must not stop the test.
  const timeval patience = {.tv_sec = 30, .tv_usec = 0};
  setsockopt(fd_, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof(patience));
  sockaddr_in address{};
  address.sin_family = AF_INET;
  address.sin_port = htons(port);
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  context_ = SSL_CTX_new(TLS_client_method());
  SSL_CTX_set_min_proto_version(context_, version);
  SSL_CTX_set_max_proto_version(context_, version);
  // Old versions are left out of what OpenSSL offers at its usual level.
  SSL_CTX_set_security_level(context_, 0);
  ssl_ = SSL_new(context_);
  if (connect(fd_, reinterpret_cast<const sockaddr*>(&address), sizeof(address)) != 0) return;
  SSL_set_fd(ssl_, fd_);
  connected_ = SSL_connect(ssl_) == 1;
}

TlsClient::~TlsClient() {
  SSL_free(ssl_);
  SSL_CTX_free(context_);
  close(fd_);
}

bool TlsClient::Send(std::string_view bytes) {
  size_t sent = 0;
  return SSL_write_ex(ssl_, bytes.data(), bytes.size(), &sent) == 1;
}

std::string TlsClient::ReceiveUntil(std::string_view text) {
  std::string out;
  while (text.empty() || out.find(text) == std::string::npos) {
    char buffer[4096];
    size_t size = 0;
    const int result = SSL_read_ex(ssl_, buffer, sizeof(buffer), &size);
    if (result != 1) {
      ended_in_order_ = SSL_get_error(ssl_, result) == SSL_ERROR_ZERO_RETURN;
      break;
    }
    out.append(buffer, size);
  }
  return out;
}

}  // namespace dray::http
