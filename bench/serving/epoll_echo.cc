#include "epoll_echo.h"

#include <arpa/inet.h>
#include <fmt/format.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

#include <array>
#include <charconv>
#include <cstdio>
#include <string>
#include <string_view>
#include <unordered_map>

#include "answer_parser.h"

namespace dray::bench {
namespace {

int Listen() {
  const int fd = ::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
  sockaddr_in address{};
  address.sin_family = AF_INET;
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  socklen_t size = sizeof(address);
  if (::bind(fd, reinterpret_cast<sockaddr*>(&address), size) != 0 ||
      ::listen(fd, SOMAXCONN) != 0 ||
      ::getsockname(fd, reinterpret_cast<sockaddr*>(&address), &size) != 0) {
    std::perror("cannot listen");
    return -1;
  }
  fmt::print("serving on http://127.0.0.1:{}\n", ntohs(address.sin_port));
  std::fflush(stdout);
  return fd;
}

void Watch(int epoll, int fd) {
  epoll_event event{};
  event.events = EPOLLIN;
  event.data.fd = fd;
  ::epoll_ctl(epoll, EPOLL_CTL_ADD, fd, &event);
}

// Answers the request that `input` is, and removes it; does nothing while some of it is missing.
bool Answer(int fd, std::string& input) {
  const size_t head_size = input.find("\r\n\r\n");
  if (head_size == std::string::npos) return true;
  const std::string_view head = std::string_view(input).substr(0, head_size);
  const std::string_view length = FindHeader(head, "content-length");
  size_t body_size = 0;
  std::from_chars(length.data(), length.data() + length.size(), body_size);
  if (input.size() < head_size + 4 + body_size) return true;
  const std::string_view body = std::string_view(input).substr(head_size + 4, body_size);
  const std::string answer = fmt::format(
      "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: {}\r\n\r\n{}",
      body.size(), body);
  input.erase(0, head_size + 4 + body_size);
  return ::send(fd, answer.data(), answer.size(), MSG_NOSIGNAL) ==
         static_cast<ssize_t>(answer.size());
}

bool Serve(int fd, std::string& input) {
  std::array<char, 16384> buffer;
  const ssize_t got = ::recv(fd, buffer.data(), buffer.size(), 0);
  if (got <= 0) return false;
  input.append(buffer.data(), static_cast<size_t>(got));
  return Answer(fd, input);
}

}  // namespace

int ServeEpollEcho() {
  const int listener = Listen();
  if (listener < 0) return 1;
  const int epoll = ::epoll_create1(EPOLL_CLOEXEC);
  Watch(epoll, listener);
  std::unordered_map<int, std::string> inputs;
  while (true) {
    std::array<epoll_event, 64> events;
    const int count = ::epoll_wait(epoll, events.data(), static_cast<int>(events.size()), -1);
    for (int i = 0; i < count; ++i) {
      const int fd = events[static_cast<size_t>(i)].data.fd;
      if (fd == listener) {
        const int client = ::accept4(listener, nullptr, nullptr, SOCK_CLOEXEC);
        const int on = 1;
        ::setsockopt(client, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on));
        Watch(epoll, client);
      } else if (!Serve(fd, inputs[fd])) {
        inputs.erase(fd);
        ::close(fd);
      }
    }
  }
}

}  // namespace dray::bench
