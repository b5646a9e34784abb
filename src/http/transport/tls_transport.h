// A connection inside TLS. OpenSSL turns plain bytes into records and back in memory; this class carries
// the records between that memory and the socket.
#pragma once

#include <array>
#include <memory>
#include <string>

#include "http/transport/tls_context.h"
#include "http/transport/transport.h"

namespace dray::http {

class TlsTransport final : public Transport {
 public:
  // Null if there is no memory for it. The handshake is a part of the first read.
  static std::unique_ptr<TlsTransport> Make(Socket socket, const TlsContext& context);

  void Read(boost::asio::mutable_buffer buffer, TransportUserPtr user) override;
  // Records are always sent by Write.
  size_t TryWrite(std::string_view /*bytes*/, Follows /*follows*/) override { return 0; }
  void Write(boost::asio::const_buffer bytes, TransportUserPtr user) override;
  void WriteLast(std::string_view bytes) override;
  bool ShutdownSend(const TransportUserPtr& user) override;

 private:
  TlsTransport(Socket socket, SslPtr ssl);

  // Reads records from the socket, and goes on with the read of `buffer`.
  void Receive(boost::asio::mutable_buffer buffer, TransportUserPtr user);
  // Sends the records that wait in memory, unless that is under way.
  void Flush(const TransportUserPtr& user);
  void OnFlushed(const boost::system::error_code& error, const TransportUserPtr& user);
  // Sends what the system takes at once of the records that wait.
  void FlushNow();
  // Takes the records that wait out of OpenSSL's memory.
  std::string TakeRecords();

  const SslPtr ssl_;
  std::array<char, 16 * 1024> received_;
  std::string sending_;
  bool flushing_ = false;
  // The write that is over when every record has been sent, and its plain bytes.
  TransportUserPtr writer_;
  size_t written_bytes_ = 0;
  // The socket's sending end is to be closed once every record has been sent.
  bool shutdown_wanted_ = false;
};

}  // namespace dray::http
