// The bytes of one connection, in the clear or inside TLS, over TCP or a Unix socket.
//
// Threads: every function, and every completion, is called on the one thread that runs the socket's io_context.
#pragma once

#include <boost/asio/basic_stream_socket.hpp>
#include <boost/asio/buffer.hpp>
#include <boost/asio/generic/stream_protocol.hpp>
#include <boost/asio/io_context.hpp>
#include <cstddef>
#include <memory>
#include <string>
#include <string_view>
#include <utility>

namespace dray::http {

class TlsContext;

using Executor = boost::asio::io_context::executor_type;
using Socket = boost::asio::basic_stream_socket<boost::asio::generic::stream_protocol, Executor>;

// What is told of the operations of a transport. An operation keeps its user alive, and the user owns the
// transport.
class TransportUser {
 public:
  virtual ~TransportUser() = default;

  // `size` bytes are in the buffer of the read; end of file if the other side has closed its end.
  virtual void OnRead(const boost::system::error_code& error, size_t size) = 0;
  // The first `size` bytes of the write have been sent.
  virtual void OnWritten(const boost::system::error_code& error, size_t size) = 0;
};
using TransportUserPtr = std::shared_ptr<TransportUser>;

class Transport {
 public:
  explicit Transport(Socket socket) : socket_(std::move(socket)) {}
  Transport(const Transport&) = delete;
  Transport& operator=(const Transport&) = delete;
  virtual ~Transport() = default;

  // What the caller does once these bytes are sent. Before kEnd, the end of the connection, the system may keep the bytes
  // back so that they and the end go in one packet.
  enum class Follows { kAnything, kEnd };
  // Sends what the system takes at once, and returns how many bytes that is: 0 also if the connection is broken, which
  // the next Write tells. Not while a Write is under way.
  virtual size_t TryWrite(std::string_view bytes, Follows follows) = 0;
  // Each of these two has at most one operation under way. The bytes stay where they are until it is over.
  virtual void Read(boost::asio::mutable_buffer buffer, TransportUserPtr user) = 0;
  virtual void Write(boost::asio::const_buffer bytes, TransportUserPtr user) = 0;
  // Sends as much as the system takes at once, in place of a Write, and closes the sending end.
  virtual void WriteLast(std::string_view bytes) = 0;
  // Tells the other side that nothing follows; what it still sends can be read. False if the connection is
  // broken.
  virtual bool ShutdownSend(const TransportUserPtr& user) = 0;

  void Close();
  // Closes so that the other side sees that the connection was broken off.
  void Reset();
  Executor executor() { return socket_.get_executor(); }
  // Asks the system for the other side's address, which costs a call.
  void RememberPeer();
  // "192.0.2.7", "2001:db8::7"; "unix" for a Unix socket. "unknown" without RememberPeer.
  const std::string& peer() const { return peer_; }

 protected:
  Socket socket_;

 private:
  std::string peer_ = "unknown";
};

// Inside TLS if `tls` is not null. Null if there is no memory for it.
std::unique_ptr<Transport> MakeTransport(Socket socket, const TlsContext* tls);

}  // namespace dray::http
