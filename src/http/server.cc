// Threads, the number of connections, and shutdown; listen/ and connection/ do the rest.
#include "http/server.h"

#include <fmt/format.h>

#include <algorithm>
#include <atomic>
#include <boost/asio/executor_work_guard.hpp>
#include <csignal>
#include <exception>
#include <memory>
#include <stdexcept>
#include <thread>
#include <utility>
#include <vector>

#include "base/log.h"
#include "http/connection/connection.h"
#include "http/connection/courtesy.h"
#include "http/listen/listener.h"

namespace dray::http {
namespace {

namespace asio = boost::asio;

// Connections over the limit that there may be at the same time, for health checks and to be told that
// there are too many. Beyond them nothing is accepted; each makes room within `overflow_header` and
// `linger`, so some 80 a second find a place in any case.
constexpr int kOverflowConnections = 256;
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
  Impl(ServerOptions options, std::vector<Endpoint> endpoints)
      : state_(std::make_shared<ServerState>()) {
    state_->options = std::move(options);
    const int num_loops = std::max(1, state_->options.num_threads);
    for (int i = 0; i < num_loops; ++i) loops_.push_back(std::make_unique<Loop>());
    state_->endpoints = std::move(endpoints);
    state_->body_budget = std::make_shared<BodyBudget>(state_->options.max_total_body_bytes,
                                                       state_->options.small_only_body_bytes);
  }
  ~Impl() { Stop(); }

  Status Listen();
  void Stop();
  bool Drain(std::chrono::milliseconds timeout);
  uint16_t port(size_t endpoint_idx) const { return listeners_.at(endpoint_idx)->port(); }
  ServerStats stats() const;

 private:
  // Serves its share of the connections on one thread. All that happens to a connection happens there, so no
  // other thread has to be woken for it.
  struct Loop {
    asio::io_context io{1};  // the number of threads
    asio::executor_work_guard<asio::io_context::executor_type> work{io.get_executor()};
  };

  Status StartThreads();
  static void Run(asio::io_context& io);
  asio::io_context& NextLoop() { return loops_[num_chosen_++ % loops_.size()]->io; }
  Listener::Next OnSocket(Socket socket, const Endpoint& endpoint);
  void StopAccepting();

  std::vector<std::unique_ptr<Loop>> loops_;
  std::atomic<size_t> num_chosen_{0};
  std::shared_ptr<ServerState> state_;
  // One for each endpoint.
  std::vector<std::unique_ptr<Listener>> listeners_;
  std::vector<std::thread> threads_;
  bool stopped_ = false;
};

Status Server::Impl::Listen() {
  // A peer that closes while we write must be an error of that write, not the end of the process.
  std::signal(SIGPIPE, SIG_IGN);
  for (const Endpoint& endpoint : state_->endpoints) {
    Listener::Callbacks callbacks{
        .choose_loop = [this]() -> asio::io_context& { return NextLoop(); },
        .on_socket = [this,
                      &endpoint](Socket socket) { return OnSocket(std::move(socket), endpoint); }};
    listeners_.push_back(
        std::make_unique<Listener>(loops_.front()->io, endpoint, std::move(callbacks)));
    DRAY_RETURN_IF_ERROR(listeners_.back()->Open());
  }
  return StartThreads();
}

Status Server::Impl::StartThreads() {
  try {
    for (const auto& loop : loops_) {
      // A loop opens its descriptors for its first socket. Later there may be none left.
      const Socket first(loop->io);
      threads_.emplace_back([&io = loop->io] { Run(io); });
    }
  } catch (const std::runtime_error& error) {  // system_error of the library or of Boost
    return {StatusCode::kResourceExhausted,
            fmt::format(
                "cannot start {} threads for connections: {}; allow this process more memory or "
                "threads",
                loops_.size(), error.what())};
  }
  return OkStatus();
}

void Server::Impl::Run(asio::io_context& io) {
  while (true) {
    try {
      RunCourteously(io);
      return;
    } catch (const std::exception& error) {
      // Only the operation that threw is lost.
      LogError(std::string("an exception reached a server thread: ") + error.what());
    }
  }
}

Listener::Next Server::Impl::OnSocket(Socket socket, const Endpoint& endpoint) {
  auto transport = MakeTransport(std::move(socket), endpoint.tls.get());
  if (transport == nullptr) {
    LogWarning("a connection was closed for lack of memory");
    return Listener::Next::kPause;
  }
  auto connection = std::make_shared<Connection>(std::move(transport), state_, endpoint);
  size_t count = 0;
  {
    const std::lock_guard lock(state_->mutex);
    state_->connections[connection.get()] = connection;
    count = state_->connections.size();
  }
  const auto limit = static_cast<size_t>(state_->options.max_connections);
  connection->Start(count > limit ? Connection::Admission::kHealthCheckOnly
                                  : Connection::Admission::kServe);
  return count >= limit + kOverflowConnections ? Listener::Next::kPause : Listener::Next::kAccept;
}

void Server::Impl::StopAccepting() {
  if (threads_.empty()) return;
  for (const auto& listener : listeners_) listener->Close();
}

ServerStats Server::Impl::stats() const {
  ServerStats stats;
  stats.requests = state_->requests;
  stats.cancelled = state_->cancelled;
  for (size_t i = 0; i < stats.responses.size(); ++i) stats.responses[i] = state_->responses[i];
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
  for (const auto& loop : loops_) loop->work.reset();
  for (std::thread& thread : threads_) thread.join();
  threads_.clear();
}

Result<std::unique_ptr<Server>> Server::Start(ServerOptions options,
                                              std::vector<Endpoint> endpoints) {
  auto impl = std::make_unique<Impl>(std::move(options), std::move(endpoints));
  DRAY_RETURN_IF_ERROR(impl->Listen());
  return std::unique_ptr<Server>(new Server(std::move(impl)));
}

Server::Server(std::unique_ptr<Impl> impl) : impl_(std::move(impl)) {}
Server::~Server() = default;
uint16_t Server::port(size_t endpoint_idx) const { return impl_->port(endpoint_idx); }
ServerStats Server::stats() const { return impl_->stats(); }
bool Server::Drain(std::chrono::milliseconds timeout) { return impl_->Drain(timeout); }
void Server::Stop() { impl_->Stop(); }

}  // namespace dray::http
