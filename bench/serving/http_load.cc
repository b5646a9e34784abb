#include "http_load.h"

#include <arpa/inet.h>
#include <fcntl.h>
#include <fmt/format.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <chrono>
#include <cmath>
#include <cstdlib>
#include <optional>
#include <random>
#include <utility>

#include "answer_parser.h"

namespace dray::bench {
namespace {

using Clock = std::chrono::steady_clock;

double Seconds(Clock::duration time) { return std::chrono::duration<double>(time).count(); }

[[noreturn]] void Die(const std::string& message) {
  fmt::print(stderr, "{}\n", message);
  std::exit(1);
}

int Connect(uint16_t port) {
  const int fd = ::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
  sockaddr_in address{};
  address.sin_family = AF_INET;
  address.sin_port = htons(port);
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  if (fd < 0 || ::connect(fd, reinterpret_cast<sockaddr*>(&address), sizeof(address)) != 0) {
    Die(fmt::format("cannot connect to port {}", port));
  }
  const int on = 1;
  ::setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on));
  return fd;
}

// A request is far smaller than a socket's buffer, so it is sent whole.
bool SendAll(int fd, std::string_view bytes) {
  return ::send(fd, bytes.data(), bytes.size(), MSG_NOSIGNAL) == static_cast<ssize_t>(bytes.size());
}

// Appends what has come; false at the connection's end.
bool Receive(int fd, std::string& input, int flags) {
  std::array<char, 16384> buffer;
  const ssize_t got = ::recv(fd, buffer.data(), buffer.size(), flags);
  if (got > 0) input.append(buffer.data(), static_cast<size_t>(got));
  return got > 0 || (got < 0 && errno == EAGAIN);
}

class LoadRun {
 public:
  explicit LoadRun(const HttpLoad& load)
      : load_(load), connections_(load.connections), epoll_(::epoll_create1(EPOLL_CLOEXEC)) {
    for (size_t i = 0; i < connections_.size(); ++i) Open(i);
  }
  ~LoadRun() {
    for (const Connection& connection : connections_) ::close(connection.fd);
    ::close(epoll_);
  }

  HttpLoadResult Run() {
    start_ = Clock::now();
    next_arrival_ = start_;
    if (load_.rate == 0) {
      while (!free_.empty()) Send(start_);
    }
    while (true) {
      const Clock::time_point now = Clock::now();
      CallEachSecond(now);
      if (now - start_ >= Duration(load_.seconds)) sending_ = false;
      if (!sending_ && (num_open_ == 0 || now - start_ >= Duration(load_.seconds + kPatience))) {
        break;
      }
      if (load_.rate > 0 && sending_) SendArrivals(now);
      TakeEvents();
    }
    result_.broken += num_open_;
    result_.seconds = load_.seconds;
    return std::move(result_);
  }

 private:
  static constexpr double kPatience = 60;
  struct Connection {
    int fd = -1;
    bool open = false;
    Clock::time_point due;
    std::string answer;
    std::string input;
  };

  static Clock::duration Duration(double seconds) {
    return std::chrono::duration_cast<Clock::duration>(std::chrono::duration<double>(seconds));
  }

  void Open(size_t index) {
    connections_[index].fd = Connect(load_.port);
    connections_[index].input.clear();
    epoll_event event{};
    event.events = EPOLLIN;
    event.data.u64 = index;
    ::epoll_ctl(epoll_, EPOLL_CTL_ADD, connections_[index].fd, &event);
    free_.push_back(index);
  }

  void CallEachSecond(Clock::time_point now) {
    while (now - start_ >= Duration(static_cast<double>(num_seconds_ + 1)) &&
           static_cast<double>(num_seconds_ + 1) <= load_.seconds) {
      ++num_seconds_;
      load_.on_second();
    }
  }

  void Send(Clock::time_point due) {
    const size_t index = free_.back();
    free_.pop_back();
    Connection& connection = connections_[index];
    HttpExchange exchange = load_.make(num_made_++);
    connection.answer = std::move(exchange.answer);
    connection.due = due;
    connection.open = true;
    ++num_open_;
    // If the server has closed the connection, its end is seen by the next read.
    SendAll(connection.fd, exchange.request);
  }

  void SendArrivals(Clock::time_point now) {
    for (; next_arrival_ <= now; next_arrival_ += Duration(gap_(random_) / load_.rate)) {
      free_.empty() ? static_cast<void>(++result_.unsent) : Send(next_arrival_);
    }
  }

  void TakeEvents() {
    // Waits by whole milliseconds, so requests are up to one later than they were due.
    const double wait_ms = 1000 * Seconds(next_arrival_ - Clock::now());
    const bool arrivals = load_.rate > 0 && sending_;
    const int timeout = arrivals ? std::clamp(static_cast<int>(std::ceil(wait_ms)), 0, 100) : 100;
    std::array<epoll_event, 64> events;
    const int count = ::epoll_wait(epoll_, events.data(), static_cast<int>(events.size()), timeout);
    for (int i = 0; i < count; ++i) {
      TakeInput(static_cast<size_t>(events[static_cast<size_t>(i)].data.u64));
    }
  }

  void TakeInput(size_t index) {
    Connection& connection = connections_[index];
    if (!Receive(connection.fd, connection.input, MSG_DONTWAIT)) return TakeEnd(index);
    const auto answer = ParseAnswer(connection.input);
    if (!answer || !connection.open) return;
    Count(connection, *answer);
    if (!answer->keeps_connection) return Reopen(index);
    connection.input.clear();
    SetFree(index);
  }

  void TakeEnd(size_t index) {
    if (connections_[index].open) ++result_.broken;
    Reopen(index);
  }

  void Reopen(size_t index) {
    Connection& connection = connections_[index];
    ::close(connection.fd);
    const bool was_open = std::exchange(connection.open, false);
    if (was_open) {
      --num_open_;
    } else {
      std::erase(free_, index);
    }
    Open(index);
    if (was_open && load_.rate == 0 && sending_) Send(Clock::now());
  }

  void SetFree(size_t index) {
    connections_[index].open = false;
    --num_open_;
    free_.push_back(index);
    if (load_.rate == 0 && sending_) Send(Clock::now());
  }

  void Count(const Connection& connection, const HttpAnswer& answer) {
    const Clock::time_point now = Clock::now();
    const double took = Seconds(now - connection.due);
    if (answer.status == 503) {
      ++result_.refused;
      result_.refused_seconds.push_back(took);
    } else if (answer.status != 200 || answer.body != connection.answer) {
      ++result_.wrong;
      if (result_.first_wrong.empty()) {
        result_.first_wrong = fmt::format("{} {}", answer.status, answer.body.substr(0, 200));
      }
    } else {
      ++result_.answered;
      result_.answered_seconds.push_back(took);
      const auto second = static_cast<size_t>(Seconds(now - start_));
      if (result_.answered_each_second.size() <= second) {
        result_.answered_each_second.resize(second + 1);
      }
      ++result_.answered_each_second[second];
    }
  }

  const HttpLoad& load_;
  std::vector<Connection> connections_;
  std::vector<size_t> free_;
  const int epoll_;
  Clock::time_point start_;
  Clock::time_point next_arrival_;
  int num_seconds_ = 0;
  uint64_t num_made_ = 0;
  uint64_t num_open_ = 0;
  bool sending_ = true;
  std::mt19937_64 random_{1};
  std::exponential_distribution<double> gap_{1};
  HttpLoadResult result_;
};

}  // namespace

std::string MakePost(std::string_view target, std::string_view body) {
  return fmt::format(
      "POST {} HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n"
      "Content-Length: {}\r\n\r\n{}",
      target, body.size(), body);
}

HttpLoadResult RunLoad(const HttpLoad& load) { return LoadRun(load).Run(); }

std::vector<double> TimeExchanges(uint16_t port, const HttpExchange& exchange, int count) {
  const int fd = Connect(port);
  std::vector<double> seconds;
  std::string input;
  for (int i = 0; i < count; ++i) {
    input.clear();
    const Clock::time_point start = Clock::now();
    if (!SendAll(fd, exchange.request)) Die("the server closed the connection");
    std::optional<HttpAnswer> answer;
    while (!answer) {
      if (!Receive(fd, input, 0)) Die("the server closed the connection");
      answer = ParseAnswer(input);
    }
    seconds.push_back(Seconds(Clock::now() - start));
    if (answer->status != 200 || answer->body != exchange.answer) {
      Die(fmt::format("wrong answer: {}", input));
    }
  }
  ::close(fd);
  return seconds;
}

OpenStreams::OpenStreams(uint16_t port, std::string_view request, size_t count) {
  constexpr std::string_view kBegin = "HTTP/1.1 200";
  for (size_t i = 0; i < count; ++i) {
    sockets_.push_back(Connect(port));
    if (!SendAll(sockets_.back(), request)) Die("the server closed the connection");
  }
  for (const int fd : sockets_) {
    std::string input;
    if (!Receive(fd, input, 0) || !input.starts_with(kBegin)) {
      Die(fmt::format("no stream: {}", input));
    }
  }
}

OpenStreams::~OpenStreams() {
  for (const int fd : sockets_) ::close(fd);
}

}  // namespace dray::bench
