// A blocking HTTP/1.1 client on a raw socket, for tests that must see the bytes or vanish at any
// moment.
#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <string_view>

namespace dray::testing {

struct HttpResponse {
  int status = 0;
  std::map<std::string, std::string> headers;  // names in lower case
  std::string body;                            // chunks joined
};

class HttpClient {
 public:
  // Connects to the loopback address; connected() says whether that worked.
  explicit HttpClient(uint16_t port);
  HttpClient(HttpClient&& other) noexcept;
  HttpClient(const HttpClient&) = delete;
  HttpClient& operator=(const HttpClient&) = delete;
  HttpClient& operator=(HttpClient&&) = delete;
  ~HttpClient();

  bool connected() const { return fd_ >= 0; }
  bool Send(std::string_view bytes);
  // Sends a POST with a JSON body.
  bool SendPost(std::string_view target, std::string_view body);
  bool SendGet(std::string_view target);
  // Waits at most `timeout_ms` for more bytes. Returns them; empty at the end of the connection or
  // after the time-out.
  std::string ReadSome(int timeout_ms);
  // Reads a whole response. Returns nothing if the connection ends before it is complete, or after
  // `timeout_ms` without a byte.
  std::optional<HttpResponse> ReadResponse(int timeout_ms = 30'000);

  enum class CloseKind { kFin, kReset };
  void Close(CloseKind kind = CloseKind::kFin);

 private:
  bool Fill(int timeout_ms);

  int fd_ = -1;
  std::string buffer_;
};

// Sends one request on a new connection.
std::optional<HttpResponse> Post(uint16_t port, std::string_view target, std::string_view body);
std::optional<HttpResponse> Get(uint16_t port, std::string_view target);

}  // namespace dray::testing
