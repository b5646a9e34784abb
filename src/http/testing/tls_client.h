// For tests: a client that speaks TLS over a blocking socket.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <string_view>

struct ssl_st;
struct ssl_ctx_st;

namespace dray::http {

class TlsClient {
 public:
  // Connects to 127.0.0.1. `version` is OpenSSL's number of the only version that it offers.
  TlsClient(uint16_t port, int version);
  TlsClient(const TlsClient&) = delete;
  TlsClient& operator=(const TlsClient&) = delete;
  ~TlsClient();

  // False if there was no handshake.
  bool connected() const { return connected_; }
  bool Send(std::string_view bytes);
  // Everything until the server's end of the connection, or until `text` has come.
  std::string ReceiveUntil(std::string_view text);
  // The server said that nothing follows, rather than breaking the connection off.
  bool ended_in_order() const { return ended_in_order_; }

 private:
  int fd_ = -1;
  ssl_ctx_st* context_ = nullptr;
  ssl_st* ssl_ = nullptr;
  bool connected_ = false;
  bool ended_in_order_ = false;
};

}  // namespace dray::http
