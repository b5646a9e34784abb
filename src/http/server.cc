// Listening, threads and shutdown; connection.cc does the rest.
#include "http/server.h"

#include <fmt/format.h>

#include <boost/asio/connect.hpp>
#include <boost/asio/executor_work_guard.hpp>
#include <boost/asio/post.hpp>
#include <csignal>
#include <exception>
#include <future>
#include <system_error>
#include <thread>
#include <utility>
#include <vector>

#include "base/log.h"
#include "http/connection.h"

namespace dray::http {
namespace {

namespace asio = boost::asio;
using asio::ip::tcp;

// Connections over the limit that there may be at the same time, for health checks and to be told that
// there are too many. Beyond them nothing is accepted; each makes room within `overflow_header` and
// `linger`, so some 80 a second find a place in any case.
constexpr int kOverflowConnections = 256;
// How long accepting rests when descriptors, memory or room for connections are used up.
constexpr std::chrono::milliseconds kAcceptPause{50};

Result<tcp::endpoint> ResolveAddress(asio::io_context& io, const ServerOptions& options) {
  boost::system::error_code error;
  const asio::ip::address address = asio::ip::make_address(options.host, error);
  if (!error) return tcp::endpoint(address, options.port);
  tcp::resolver resolver(io);
  const auto found =
      resolver.resolve(options.host, std::to_string(options.port), tcp::resolver::passive, error);
  if (error || found.empty()) {
    return Status(StatusCode::kIo, fmt::format("cannot resolve the address \"{}\" to listen on: {}",
                                               options.host, error.message()));
  }
  return found.begin()->endpoint();
}

}  // namespace

std::vector<std::shared_ptr<Connection>> ServerState::Connections() {
  std::vector<std::shared_ptr<Connection>> alive;
  const std::lock_guard lock(mutex);
  for (const auto& [raw, weak] : connections) {
    if (auto connection = weak.lock()) alive.push_back(std::move(connection));
  }
  return alive;
}

Response ServerState::MakeError(int status, const std::string& message,
                                const Request* request) const {
  Response response;
  if (options.make_error) {
    response = options.make_error(status, message, request);
  } else {
    response.head.headers.Add("Content-Type", "text/plain; charset=utf-8");
    response.body = message + "\n";
  }
  response.head.status = status;
  response.head.persistence = Persistence::kClose;
  return response;
}

class Server::Impl {
 public:
  Impl(ServerOptions options, Router router)
      : work_(io_.get_executor()),
        strand_(asio::make_strand(io_)),
        acceptor_(strand_),
        pause_(strand_),
        state_(std::make_shared<ServerState>()) {
    state_->options = std::move(options);
    state_->router = std::move(router);
    state_->body_budget = std::make_shared<BodyBudget>(state_->options.max_total_body_bytes,
                                                       state_->options.small_only_body_bytes);
  }
  ~Impl() { Stop(); }

  Status Listen();
  void Stop();
  bool Drain(std::chrono::milliseconds timeout);
  uint16_t port() const { return port_; }
  ServerStats stats() const;

 private:
  Status StartThreads();
  void Run();
  void Accept();
  void OnAccept(const boost::system::error_code& error, Connection::Socket socket);
  void PauseAccepting();
  void StopAccepting();

  asio::io_context io_;
  asio::executor_work_guard<asio::io_context::executor_type> work_;
  Connection::Strand strand_;
  asio::basic_socket_acceptor<tcp, Connection::Strand> acceptor_;
  asio::basic_waitable_timer<std::chrono::steady_clock,
                             asio::wait_traits<std::chrono::steady_clock>, Connection::Strand>
      pause_;
  std::shared_ptr<ServerState> state_;
  std::vector<std::thread> threads_;
  uint16_t port_ = 0;
  bool stopped_ = false;
};

Status Server::Impl::Listen() {
  // A peer that closes while we write must be an error of that write, not the end of the process.
  std::signal(SIGPIPE, SIG_IGN);
  const ServerOptions& options = state_->options;
  DRAY_ASSIGN_OR_RETURN(const tcp::endpoint endpoint, ResolveAddress(io_, options));
  boost::system::error_code error;
  acceptor_.open(endpoint.protocol(), error);
  if (!error) acceptor_.set_option(asio::socket_base::reuse_address(true), error);
  if (!error) acceptor_.bind(endpoint, error);
  if (!error) acceptor_.listen(asio::socket_base::max_listen_connections, error);
  if (error) {
    return Status(StatusCode::kIo, fmt::format("cannot listen on {} port {}: {}", options.host,
                                               options.port, error.message()));
  }
  port_ = acceptor_.local_endpoint(error).port();
  Accept();
  return StartThreads();
}

Status Server::Impl::StartThreads() {
  const int num_threads = std::max(1, state_->options.num_threads);
  try {
    for (int i = 0; i < num_threads; ++i) threads_.emplace_back([this] { Run(); });
  } catch (const std::system_error& error) {
    return {StatusCode::kResourceExhausted,
            fmt::format(
                "cannot start {} threads for connections: {}; allow this process more memory or "
                "threads",
                num_threads, error.what())};
  }
  return OkStatus();
}

void Server::Impl::Run() {
  while (true) {
    try {
      io_.run();
      return;
    } catch (const std::exception& error) {
      // Only the operation that threw is lost.
      LogError(std::string("an exception reached a server thread: ") + error.what());
    }
  }
}

void Server::Impl::Accept() {
  acceptor_.async_accept(asio::make_strand(io_), [this](const auto& error, auto socket) {
    OnAccept(error, std::move(socket));
  });
}

void Server::Impl::OnAccept(const boost::system::error_code& error, Connection::Socket socket) {
  if (!acceptor_.is_open()) return;
  if (error && error != asio::error::connection_aborted) {
    LogWarning(fmt::format("cannot accept a connection: {}; trying again", error.message()));
    return PauseAccepting();
  }
  if (error) return Accept();
  auto connection = std::make_shared<Connection>(std::move(socket), state_);
  size_t count = 0;
  {
    const std::lock_guard lock(state_->mutex);
    state_->connections[connection.get()] = connection;
    count = state_->connections.size();
  }
  const auto limit = static_cast<size_t>(state_->options.max_connections);
  connection->Start(count > limit ? Connection::Admission::kHealthCheckOnly
                                  : Connection::Admission::kServe);
  if (count >= limit + kOverflowConnections) return PauseAccepting();
  Accept();
}

void Server::Impl::PauseAccepting() {
  pause_.expires_after(kAcceptPause);
  pause_.async_wait([this](const auto& error) {
    if (!error && acceptor_.is_open()) Accept();
  });
}

void Server::Impl::StopAccepting() {
  if (threads_.empty()) return;
  std::promise<void> closed;
  asio::post(strand_, [this, &closed] {
    boost::system::error_code ignored;
    acceptor_.close(ignored);
    pause_.cancel();
    closed.set_value();
  });
  closed.get_future().wait();
}

ServerStats Server::Impl::stats() const {
  ServerStats stats;
  stats.requests = state_->requests;
  stats.cancelled = state_->cancelled;
  stats.handler_exceptions = state_->handler_exceptions;
  const std::lock_guard lock(state_->mutex);
  stats.requests_in_flight = state_->requests_in_flight;
  stats.connections = static_cast<int64_t>(state_->connections.size());
  return stats;
}

bool Server::Impl::Drain(std::chrono::milliseconds timeout) {
  const auto deadline = std::chrono::steady_clock::now() + timeout;
  state_->draining = true;
  StopAccepting();
  {
    std::unique_lock lock(state_->mutex);
    const bool answered = state_->changed.wait_until(
        lock, deadline, [this] { return state_->requests_in_flight == 0; });
    if (!answered) return false;
  }
  // Only now, so that a request that was on its way meanwhile got its 503 and not a reset.
  for (const auto& connection : state_->Connections()) connection->PostCloseIdle();
  std::unique_lock lock(state_->mutex);
  state_->changed.wait_until(lock, deadline, [this] { return state_->connections.empty(); });
  return state_->requests_in_flight == 0;
}

void Server::Impl::Stop() {
  if (std::exchange(stopped_, true)) return;
  state_->draining = true;
  StopAccepting();
  for (const auto& connection : state_->Connections()) connection->PostStop();
  {
    // Each connection is gone once its handlers have let go of it.
    std::unique_lock lock(state_->mutex);
    state_->changed.wait(lock, [this] { return state_->connections.empty(); });
  }
  work_.reset();
  for (std::thread& thread : threads_) thread.join();
  threads_.clear();
}

Result<std::unique_ptr<Server>> Server::Start(ServerOptions options, Router router) {
  auto impl = std::make_unique<Impl>(std::move(options), std::move(router));
  DRAY_RETURN_IF_ERROR(impl->Listen());
  return std::unique_ptr<Server>(new Server(std::move(impl)));
}

Server::Server(std::unique_ptr<Impl> impl) : impl_(std::move(impl)) {}
Server::~Server() = default;
uint16_t Server::port() const { return impl_->port(); }
ServerStats Server::stats() const { return impl_->stats(); }
bool Server::Drain(std::chrono::milliseconds timeout) { return impl_->Drain(timeout); }
void Server::Stop() { impl_->Stop(); }

}  // namespace dray::http
