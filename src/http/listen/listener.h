// Accepts the connections of one endpoint.
//
// Threads: Open belongs to the thread that starts the server, before its threads run; Close may be called from
// any thread but theirs.
#pragma once

#include <boost/asio/basic_socket_acceptor.hpp>
#include <boost/asio/steady_timer.hpp>
#include <chrono>
#include <functional>
#include <memory>

#include "base/status.h"
#include "http/listen/endpoint.h"
#include "http/listen/unix_socket_file.h"
#include "http/transport/transport.h"

namespace dray::http {

class Listener {
 public:
  // What to do after a connection was taken.
  enum class Next { kAccept, kPause };
  using OnSocket = std::function<Next(Socket socket)>;
  // On which io_context the next connection is served.
  using ChooseLoop = std::function<boost::asio::io_context&()>;
  struct Callbacks {
    ChooseLoop choose_loop;
    OnSocket on_socket;
  };

  // Accepts on the one thread of `io`, on which the callbacks run; choose_loop is also called by Open. `endpoint` must
  // outlive the listener.
  Listener(boost::asio::io_context& io, const Endpoint& endpoint, Callbacks callbacks);

  // Listens and begins to accept. kIo if the address cannot be used; the message names it.
  Status Open();
  // Accepts nothing from its return on. The server's threads must run.
  void Close();
  // Of a TCP endpoint.
  uint16_t port() const { return port_; }

 private:
  using Clock = std::chrono::steady_clock;
  using Timer = boost::asio::basic_waitable_timer<Clock, boost::asio::wait_traits<Clock>, Executor>;

  Status OpenTcp();
  Status OpenUnix();
  void Accept();
  void OnAccept(const boost::system::error_code& error, Socket socket);
  Next Take(Socket socket);
  void Pause();

  boost::asio::io_context& io_;
  const Endpoint& endpoint_;
  const Callbacks callbacks_;
  boost::asio::basic_socket_acceptor<boost::asio::generic::stream_protocol, Executor> acceptor_;
  Timer pause_;
  uint16_t port_ = 0;
  UnixSocketFile socket_file_;
};

}  // namespace dray::http
