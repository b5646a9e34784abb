// A client's connection, with or without TLS, as Asio's and Beast's operations take one. For http_client.cc.
#pragma once

#include <boost/asio/io_context.hpp>
#include <boost/asio/ssl/stream.hpp>
#include <boost/beast/core.hpp>
#include <optional>
#include <utility>

#include "http/transport/tls_context.h"

namespace dray::http {

class ClientStream {
 public:
  using Tcp = boost::beast::tcp_stream;
  using executor_type = Tcp::executor_type;

  // Without `ssl` the connection has no TLS.
  ClientStream(boost::asio::io_context& io, SslPtr ssl) : tcp_(io) {
    if (ssl != nullptr) tls_.emplace(tcp_, ssl.release());
  }

  executor_type get_executor() { return tcp_.get_executor(); }
  Tcp& tcp() { return tcp_; }
  // Null without TLS.
  ssl_st* ssl() { return tls_ ? tls_->native_handle() : nullptr; }

  // Begins TLS on the connected stream, and calls `done` with the outcome; without TLS there is nothing to begin.
  template <typename Done>
  void Handshake(Done done) {
    if (tls_) return tls_->async_handshake(boost::asio::ssl::stream_base::client, std::move(done));
    done(boost::system::error_code());
  }

  template <typename Buffers, typename Done>
  void async_read_some(const Buffers& buffers, Done&& done) {
    if (tls_) return tls_->async_read_some(buffers, std::forward<Done>(done));
    tcp_.async_read_some(buffers, std::forward<Done>(done));
  }
  template <typename Buffers, typename Done>
  void async_write_some(const Buffers& buffers, Done&& done) {
    if (tls_) return tls_->async_write_some(buffers, std::forward<Done>(done));
    tcp_.async_write_some(buffers, std::forward<Done>(done));
  }

 private:
  Tcp tcp_;
  std::optional<boost::asio::ssl::stream<Tcp&>> tls_;
};

}  // namespace dray::http
