// Plain sockets, so that the server's own code is not on both ends of its tests.
#include "http/testing/test_client.h"

#include <arpa/inet.h>
#include <fmt/format.h>
#include <netinet/in.h>
#include <poll.h>
#include <sys/socket.h>
#include <unistd.h>

#include <charconv>

#include "http/request.h"

namespace dray::http {

using Clock = std::chrono::steady_clock;

std::string TestResponse::Header(std::string_view name) const {
  std::string_view rest = head;
  while (!rest.empty()) {
    const size_t end = rest.find("\r\n");
    const std::string_view line = rest.substr(0, end);
    rest.remove_prefix(end == std::string_view::npos ? rest.size() : end + 2);
    const size_t colon = line.find(": ");
    if (colon == std::string_view::npos) continue;
    if (EqualsIgnoreCase(line.substr(0, colon), name)) return std::string(line.substr(colon + 2));
  }
  return "(none)";
}

TestClient::TestClient(uint16_t port, ReceiveBuffer buffer) {
  fd_ = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
  if (buffer == ReceiveBuffer::kSmall) {
    const int bytes = 4096;
    setsockopt(fd_, SOL_SOCKET, SO_RCVBUF, &bytes, sizeof(bytes));
  }
  sockaddr_in address{};
  address.sin_family = AF_INET;
  address.sin_port = htons(port);
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  if (connect(fd_, reinterpret_cast<const sockaddr*>(&address), sizeof(address)) != 0) Close();
}

TestClient::~TestClient() { Close(); }

void TestClient::Close() {
  if (fd_ >= 0) close(fd_);
  fd_ = -1;
}

void TestClient::Reset() {
  const linger option{1, 0};
  setsockopt(fd_, SOL_SOCKET, SO_LINGER, &option, sizeof(option));
  Close();
}

void TestClient::ShutdownSend() { shutdown(fd_, SHUT_WR); }

bool TestClient::Send(std::string_view bytes) {
  while (!bytes.empty()) {
    const ssize_t sent = send(fd_, bytes.data(), bytes.size(), MSG_NOSIGNAL);
    if (sent <= 0) return false;
    bytes.remove_prefix(static_cast<size_t>(sent));
  }
  return true;
}

bool TestClient::Fill(Clock::time_point deadline) {
  if (ended_ || fd_ < 0) return false;
  const auto left =
      std::chrono::duration_cast<std::chrono::milliseconds>(deadline - Clock::now()).count();
  pollfd entry{fd_, POLLIN, 0};
  if (left < 0 || poll(&entry, 1, static_cast<int>(left)) <= 0) return false;
  char buffer[16384];
  const ssize_t size = recv(fd_, buffer, sizeof(buffer), 0);
  if (size <= 0) {
    ended_ = true;
    return false;
  }
  pending_.append(buffer, static_cast<size_t>(size));
  return true;
}

bool TestClient::ReadLine(std::string* line, Clock::time_point deadline) {
  size_t end = 0;
  while ((end = pending_.find("\r\n")) == std::string::npos) {
    if (!Fill(deadline)) return false;
  }
  *line = pending_.substr(0, end);
  pending_.erase(0, end + 2);
  return true;
}

bool TestClient::ReadBytes(size_t size, std::string* bytes, Clock::time_point deadline) {
  while (pending_.size() < size) {
    if (!Fill(deadline)) return false;
  }
  bytes->append(pending_, 0, size);
  pending_.erase(0, size);
  return true;
}

TestResponse TestClient::Receive(std::chrono::milliseconds patience) {
  const auto deadline = Clock::now() + patience;
  TestResponse response;
  std::string line;
  while (ReadLine(&line, deadline) && !line.empty()) response.head += line + "\r\n";
  if (!response.head.starts_with("HTTP/1.1 ")) return response;
  std::from_chars(response.head.data() + 9, response.head.data() + 12, response.status);
  const std::string length = response.Header("Content-Length");
  if (response.Header("Transfer-Encoding") == "chunked") {
    ReadChunks(&response, deadline);
  } else if (length != "(none)") {
    size_t size = 0;
    std::from_chars(length.data(), length.data() + length.size(), size);
    response.complete = ReadBytes(size, &response.body, deadline);
  } else {
    response.complete = true;
  }
  return response;
}

void TestClient::ReadChunks(TestResponse* response, Clock::time_point deadline) {
  std::string line;
  while (ReadLine(&line, deadline)) {
    size_t size = 0;
    std::from_chars(line.data(), line.data() + line.size(), size, 16);
    std::string data;
    if (!ReadBytes(size, &data, deadline) || !ReadLine(&line, deadline) || !line.empty()) return;
    if (size == 0) {
      response->complete = true;
      return;
    }
    response->body += data;
    response->chunks.push_back(std::move(data));
  }
}

std::string TestClient::ReceiveUntil(std::string_view text, std::chrono::milliseconds patience) {
  const auto deadline = Clock::now() + patience;
  while (pending_.find(text) == std::string::npos && Fill(deadline)) {
  }
  return std::exchange(pending_, {});
}

bool TestClient::WaitForInput(std::chrono::milliseconds patience) const {
  pollfd entry = {.fd = fd_, .events = POLLIN, .revents = 0};
  return poll(&entry, 1, static_cast<int>(patience.count())) > 0;
}

bool TestClient::WaitForClose(std::chrono::milliseconds patience) {
  const auto deadline = Clock::now() + patience;
  while (Fill(deadline)) pending_.clear();
  return ended_;
}

std::string PostRequest(std::string_view path, std::string_view body,
                        std::string_view extra_headers) {
  return fmt::format("POST {} HTTP/1.1\r\nHost: test\r\n{}Content-Length: {}\r\n\r\n{}", path,
                     extra_headers, body.size(), body);
}

}  // namespace dray::http
