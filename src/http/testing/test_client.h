// For tests: a client that sends raw bytes and leaves whenever it is told to. Blocking,
// every wait bounded.
#pragma once

#include <chrono>
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

namespace dray::http {

struct TestResponse {
  // 0: no whole response came.
  int status = 0;
  std::string head;
  // Chunks joined.
  std::string body;
  // As they came, if the body was chunked.
  std::vector<std::string> chunks;
  // The body came to its end.
  bool complete = false;

  // The value of the header, or "(none)".
  std::string Header(std::string_view name) const;
};

class TestClient {
 public:
  static constexpr std::chrono::milliseconds kPatience{10'000};

  enum class ReceiveBuffer { kUsual, kSmall };
  explicit TestClient(uint16_t port, ReceiveBuffer buffer = ReceiveBuffer::kUsual);
  TestClient(const TestClient&) = delete;
  TestClient& operator=(const TestClient&) = delete;
  ~TestClient();

  bool connected() const { return fd_ >= 0; }
  // False if the server has closed its end.
  bool Send(std::string_view bytes);
  // One response, from its first byte to its last. `head_only`: the answer to a HEAD request.
  TestResponse Receive(std::chrono::milliseconds patience = kPatience);
  // Bytes until `text` has come; what came, in any case.
  std::string ReceiveUntil(std::string_view text, std::chrono::milliseconds patience = kPatience);
  // Waits until there is something to receive, without allocating memory.
  bool WaitForInput(std::chrono::milliseconds patience) const;
  // True if the server closes within `patience`; bytes that come before are dropped.
  bool WaitForClose(std::chrono::milliseconds patience = kPatience);
  // Ends our side: with a FIN, or with a reset.
  void ShutdownSend();
  void Close();
  void Reset();

 private:
  // More bytes into pending_; false at the end of stream, on an error or after `deadline`.
  bool Fill(std::chrono::steady_clock::time_point deadline);
  bool ReadLine(std::string* line, std::chrono::steady_clock::time_point deadline);
  bool ReadBytes(size_t size, std::string* bytes, std::chrono::steady_clock::time_point deadline);
  void ReadChunks(TestResponse* response, std::chrono::steady_clock::time_point deadline);

  int fd_ = -1;
  bool ended_ = false;
  std::string pending_;
};

// "POST `path` ..." with a Content-Length, HTTP/1.1.
std::string PostRequest(std::string_view path, std::string_view body,
                        std::string_view extra_headers = "");

}  // namespace dray::http
