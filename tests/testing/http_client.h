// A blocking HTTP/1.1 client on a raw socket, for tests that must see the bytes and be able to
// vanish at any moment.
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
  // Connects to the loopback address; connected() tells whether it worked.
  explicit HttpClient(uint16_t port);
  HttpClient(HttpClient&& other) noexcept;
  HttpClient(const HttpClient&) = delete;
  HttpClient& operator=(const HttpClient&) = delete;
  HttpClient& operator=(HttpClient&&) = delete;
  ~HttpClient();

  bool connected() const { return fd_ >= 0; }
  bool Send(std::string_view bytes);
  // POST of a JSON body.
  bool SendPost(std::string_view target, std::string_view body);
  bool SendGet(std::string_view target);
  // Waits at most `timeout_ms` for more bytes; what came, empty at the end or on time-out.
  std::string ReadSome(int timeout_ms);
  // A whole response; nothing if the connection ends before it does, or after `timeout_ms` without
  // a byte.
  std::optional<HttpResponse> ReadResponse(int timeout_ms = 30'000);

  enum class CloseKind { kFin, kReset };
  void Close(CloseKind kind = CloseKind::kFin);

 private:
  bool Fill(int timeout_ms);

  int fd_ = -1;
  std::string buffer_;
};

// One request on a connection of its own.
std::optional<HttpResponse> Post(uint16_t port, std::string_view target, std::string_view body);
std::optional<HttpResponse> Get(uint16_t port, std::string_view target);

}  // namespace dray::testing
