// What every transport does with its socket, and the one without TLS.
#include "http/transport/transport.h"

#include <sys/socket.h>

#include <boost/asio/ip/tcp.hpp>
#include <cstring>
#include <utility>

#include "http/transport/tls_transport.h"

namespace dray::http {
namespace {

namespace asio = boost::asio;

std::string PeerName(const Socket& socket) {
  boost::system::error_code error;
  const auto endpoint = socket.remote_endpoint(error);
  if (error) return "unknown";
  const int family = endpoint.protocol().family();
  if (family != AF_INET && family != AF_INET6) return "unix";
  asio::ip::tcp::endpoint address;
  address.resize(endpoint.size());
  std::memcpy(address.data(), endpoint.data(), endpoint.size());
  return address.address().to_string();
}

class PlainTransport final : public Transport {
 public:
  using Transport::Transport;

  void Read(asio::mutable_buffer buffer, TransportUserPtr user) override {
    socket_.async_read_some(buffer, [user = std::move(user)](const auto& error, size_t size) {
      user->OnRead(error, size);
    });
  }

  size_t TryWrite(std::string_view bytes, Follows follows) override {
    const int more = follows == Follows::kEnd ? MSG_MORE : 0;
    const ssize_t sent = ::send(socket_.native_handle(), bytes.data(), bytes.size(),
                                MSG_DONTWAIT | MSG_NOSIGNAL | more);
    return sent < 0 ? 0 : static_cast<size_t>(sent);
  }

  void Write(asio::const_buffer bytes, TransportUserPtr user) override {
    socket_.async_write_some(bytes, [user = std::move(user)](const auto& error, size_t size) {
      user->OnWritten(error, size);
    });
  }

  void WriteLast(std::string_view bytes) override {
    boost::system::error_code ignored;
    socket_.non_blocking(true, ignored);
    socket_.write_some(asio::buffer(bytes), ignored);
    socket_.shutdown(asio::socket_base::shutdown_send, ignored);
  }

  bool ShutdownSend(const TransportUserPtr& /*user*/) override {
    boost::system::error_code error;
    socket_.shutdown(asio::socket_base::shutdown_send, error);
    return !error;
  }
};

}  // namespace

void Transport::RememberPeer() { peer_ = PeerName(socket_); }

void Transport::Close() {
  boost::system::error_code ignored;
  socket_.close(ignored);
}

void Transport::Reset() {
  boost::system::error_code ignored;
  socket_.set_option(asio::socket_base::linger(true, 0), ignored);
  socket_.close(ignored);
}

std::unique_ptr<Transport> MakeTransport(Socket socket, const TlsContext* tls) {
  if (tls != nullptr) return TlsTransport::Make(std::move(socket), *tls);
  return std::make_unique<PlainTransport>(std::move(socket));
}

}  // namespace dray::http
