#include "testing/http_client.h"

#include <arpa/inet.h>
#include <fmt/format.h>
#include <netinet/in.h>
#include <poll.h>
#include <sys/socket.h>
#include <unistd.h>

#include <charconv>
#include <utility>

namespace dray::testing {
namespace {

std::string Lower(std::string_view text) {
  std::string lower;
  for (char c : text) lower += (c >= 'A' && c <= 'Z') ? static_cast<char>(c - 'A' + 'a') : c;
  return lower;
}

size_t ParseSize(std::string_view text, int base) {
  size_t value = 0;
  std::from_chars(text.data(), text.data() + text.size(), value, base);
  return value;
}

// Parses the status line and the headers, without the empty line at their end.
HttpResponse ParseHead(std::string_view head) {
  HttpResponse response;
  response.status = static_cast<int>(ParseSize(head.substr(9, 3), 10));
  size_t at = head.find("\r\n");
  while (at != std::string_view::npos && at + 2 < head.size()) {
    const size_t end = head.find("\r\n", at + 2);
    const std::string_view line =
        head.substr(at + 2, end == std::string_view::npos ? end : end - at - 2);
    const size_t colon = line.find(": ");
    if (colon != std::string_view::npos)
      response.headers[Lower(line.substr(0, colon))] = line.substr(colon + 2);
    at = end;
  }
  return response;
}

}  // namespace

HttpClient::HttpClient(uint16_t port) : fd_(::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0)) {
  sockaddr_in address{};
  address.sin_family = AF_INET;
  address.sin_port = htons(port);
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  if (::connect(fd_, reinterpret_cast<const sockaddr*>(&address), sizeof(address)) != 0) {
    ::close(fd_);
    fd_ = -1;
  }
}

HttpClient::HttpClient(HttpClient&& other) noexcept
    : fd_(std::exchange(other.fd_, -1)), buffer_(std::move(other.buffer_)) {}

HttpClient::~HttpClient() { Close(); }

bool HttpClient::Send(std::string_view bytes) {
  while (!bytes.empty()) {
    const ssize_t sent = ::send(fd_, bytes.data(), bytes.size(), MSG_NOSIGNAL);
    if (sent <= 0) return false;
    bytes.remove_prefix(static_cast<size_t>(sent));
  }
  return true;
}

bool HttpClient::SendPost(std::string_view target, std::string_view body) {
  return Send(
      fmt::format("POST {} HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n"
                  "Content-Length: {}\r\n\r\n{}",
                  target, body.size(), body));
}

bool HttpClient::SendGet(std::string_view target) {
  return Send(fmt::format("GET {} HTTP/1.1\r\nHost: localhost\r\n\r\n", target));
}

bool HttpClient::Fill(int timeout_ms) {
  pollfd waiting = {.fd = fd_, .events = POLLIN, .revents = 0};
  if (fd_ < 0 || ::poll(&waiting, 1, timeout_ms) <= 0) return false;
  char bytes[16384];
  const ssize_t got = ::recv(fd_, bytes, sizeof(bytes), 0);
  if (got <= 0) return false;
  buffer_.append(bytes, static_cast<size_t>(got));
  return true;
}

std::string HttpClient::ReadSome(int timeout_ms) {
  if (buffer_.empty()) Fill(timeout_ms);
  return std::exchange(buffer_, {});
}

std::optional<HttpResponse> HttpClient::ReadResponse(int timeout_ms) {
  size_t end = 0;
  while ((end = buffer_.find("\r\n\r\n")) == std::string::npos) {
    if (!Fill(timeout_ms)) return std::nullopt;
  }
  HttpResponse response = ParseHead(std::string_view(buffer_).substr(0, end));
  buffer_.erase(0, end + 4);
  const auto take = [&](size_t count) {
    while (buffer_.size() < count) {
      if (!Fill(timeout_ms)) return false;
    }
    return true;
  };
  if (!response.headers.contains("transfer-encoding")) {
    const size_t length = ParseSize(response.headers["content-length"], 10);
    if (!take(length)) return std::nullopt;
    response.body = buffer_.substr(0, length);
    buffer_.erase(0, length);
    return response;
  }
  for (;;) {
    size_t line = 0;
    while ((line = buffer_.find("\r\n")) == std::string::npos) {
      if (!Fill(timeout_ms)) return std::nullopt;
    }
    const size_t length = ParseSize(std::string_view(buffer_).substr(0, line), 16);
    if (!take(line + 2 + length + 2)) return std::nullopt;
    response.body += buffer_.substr(line + 2, length);
    buffer_.erase(0, line + 2 + length + 2);
    if (length == 0) return response;
  }
}

void HttpClient::Close(CloseKind kind) {
  if (fd_ < 0) return;
  if (kind == CloseKind::kReset) {
    const linger now = {.l_onoff = 1, .l_linger = 0};
    ::setsockopt(fd_, SOL_SOCKET, SO_LINGER, &now, sizeof(now));
  }
  ::close(std::exchange(fd_, -1));
}

std::optional<HttpResponse> Post(uint16_t port, std::string_view target, std::string_view body) {
  HttpClient client(port);
  if (!client.connected() || !client.SendPost(target, body)) return std::nullopt;
  return client.ReadResponse();
}

std::optional<HttpResponse> Get(uint16_t port, std::string_view target) {
  HttpClient client(port);
  if (!client.connected() || !client.SendGet(target)) return std::nullopt;
  return client.ReadResponse();
}

}  // namespace dray::testing
