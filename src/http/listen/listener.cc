#include "http/listen/listener.h"

#include <fmt/format.h>

#include <boost/asio/ip/tcp.hpp>
#include <boost/asio/post.hpp>
#include <cstring>
#include <future>
#include <new>
#include <string>
#include <utility>

#include "base/log.h"

namespace dray::http {
namespace {

namespace asio = boost::asio;
using asio::ip::tcp;

// How long accepting rests when descriptors, memory or room for connections are used up.
constexpr std::chrono::milliseconds kAcceptPause{50};

Result<tcp::endpoint> ResolveAddress(asio::io_context& io, const Endpoint& endpoint) {
  boost::system::error_code error;
  const asio::ip::address address = asio::ip::make_address(endpoint.host, error);
  if (!error) return tcp::endpoint(address, endpoint.port);
  tcp::resolver resolver(io);
  const auto found =
      resolver.resolve(endpoint.host, std::to_string(endpoint.port), tcp::resolver::passive, error);
  if (error || found.empty()) {
    return Status(StatusCode::kIo, fmt::format("cannot resolve the address \"{}\" to listen on: {}",
                                               endpoint.host, error.message()));
  }
  return found.begin()->endpoint();
}

}  // namespace

Listener::Listener(asio::io_context& io, const Endpoint& endpoint, Callbacks callbacks)
    : io_(io),
      endpoint_(endpoint),
      callbacks_(std::move(callbacks)),
      acceptor_(io.get_executor()),
      pause_(io.get_executor()) {}

Status Listener::Open() {
  DRAY_RETURN_IF_ERROR(endpoint_.unix_path.empty() ? OpenTcp() : OpenUnix());
  Accept();
  return OkStatus();
}

Status Listener::OpenTcp() {
  DRAY_ASSIGN_OR_RETURN(const tcp::endpoint address, ResolveAddress(io_, endpoint_));
  boost::system::error_code error;
  acceptor_.open(address.protocol(), error);
  if (!error) acceptor_.set_option(asio::socket_base::reuse_address(true), error);
  // The connections inherit this.
  if (!error) acceptor_.set_option(tcp::no_delay(true), error);
  if (!error) acceptor_.bind(address, error);
  if (!error) acceptor_.listen(asio::socket_base::max_listen_connections, error);
  if (error) {
    return Status(StatusCode::kIo, fmt::format("cannot listen on {} port {}: {}", endpoint_.host,
                                               endpoint_.port, error.message()));
  }
  tcp::endpoint bound;
  const auto local = acceptor_.local_endpoint(error);
  bound.resize(local.size());
  std::memcpy(bound.data(), local.data(), local.size());
  port_ = bound.port();
  return OkStatus();
}

Status Listener::OpenUnix() {
  DRAY_ASSIGN_OR_RETURN(socket_file_, UnixSocketFile::Listen(endpoint_.unix_path));
  boost::system::error_code error;
  acceptor_.assign(asio::generic::stream_protocol(AF_UNIX, 0), socket_file_.ReleaseSocket(), error);
  if (!error) return OkStatus();
  return Status(StatusCode::kIo,
                fmt::format("cannot listen on {}: {}", endpoint_.unix_path, error.message()));
}

void Listener::Accept() {
  acceptor_.async_accept(
      callbacks_.choose_loop().get_executor(),
      [this](const auto& error, auto socket) { OnAccept(error, std::move(socket)); });
}

void Listener::OnAccept(const boost::system::error_code& error, Socket socket) {
  if (!acceptor_.is_open()) return;
  if (error && error != asio::error::connection_aborted) {
    LogWarning(fmt::format("cannot accept a connection: {}; trying again", error.message()));
    return Pause();
  }
  if (!error && Take(std::move(socket)) == Next::kPause) return Pause();
  Accept();
}

Listener::Next Listener::Take(Socket socket) {
  try {
    return callbacks_.on_socket(std::move(socket));
  } catch (const std::bad_alloc&) {
    // Without this, nothing would be accepted any more.
    LogWarning("a connection was closed for lack of memory");
    return Next::kPause;
  }
}

void Listener::Pause() {
  pause_.expires_after(kAcceptPause);
  pause_.async_wait([this](const auto& error) {
    if (!error && acceptor_.is_open()) Accept();
  });
}

void Listener::Close() {
  std::promise<void> closed;
  asio::post(acceptor_.get_executor(), [this, &closed] {
    boost::system::error_code ignored;
    acceptor_.close(ignored);
    pause_.cancel();
    closed.set_value();
  });
  closed.get_future().wait();
  socket_file_.Remove();
}

}  // namespace dray::http
