#include "http/transport/tls_transport.h"

#include <openssl/bio.h>
#include <openssl/err.h>
#include <openssl/ssl.h>

#include <algorithm>
#include <boost/asio/post.hpp>
#include <boost/asio/write.hpp>
#include <utility>

namespace dray::http {
namespace {

namespace asio = boost::asio;

// The most plain bytes that one record holds (RFC 8446, 5.1). One write makes one record, so that progress is
// seen with every record that a slow client takes.
constexpr size_t kRecordBytes = 16 * 1024;

// What may wait to be sent beside the user's own bytes: answers to the client's messages of TLS itself. A client
// that causes more and takes none of it is cut off.
constexpr size_t kMaxWaitingBytes = 64 * 1024;

boost::system::error_code BrokenConnection() { return asio::error::connection_aborted; }

}  // namespace

std::unique_ptr<TlsTransport> TlsTransport::Make(Socket socket, const TlsContext& context) {
  SslPtr ssl = context.NewConnection();
  if (ssl == nullptr) return nullptr;
  BIO* const incoming = BIO_new(BIO_s_mem());
  BIO* const outgoing = BIO_new(BIO_s_mem());
  if (incoming == nullptr || outgoing == nullptr) {
    BIO_free(incoming);
    BIO_free(outgoing);
    return nullptr;
  }
  SSL_set_bio(ssl.get(), incoming, outgoing);
  SSL_set_accept_state(ssl.get());
  return std::unique_ptr<TlsTransport>(new TlsTransport(std::move(socket), std::move(ssl)));
}

TlsTransport::TlsTransport(Socket socket, SslPtr ssl)
    : Transport(std::move(socket)), ssl_(std::move(ssl)) {}

void TlsTransport::Read(asio::mutable_buffer buffer, TransportUserPtr user) {
  ERR_clear_error();
  size_t size = 0;
  const int result = SSL_read_ex(ssl_.get(), buffer.data(), buffer.size(), &size);
  const int reason = result == 1 ? SSL_ERROR_NONE : SSL_get_error(ssl_.get(), result);
  boost::system::error_code error;
  if (BIO_ctrl_pending(SSL_get_wbio(ssl_.get())) > kMaxWaitingBytes) {
    error = BrokenConnection();
  } else if (reason == SSL_ERROR_WANT_READ || reason == SSL_ERROR_NONE) {
    // The handshake's answers.
    Flush(user);
    if (reason == SSL_ERROR_WANT_READ) return Receive(buffer, std::move(user));
  } else {
    // The alert that tells the client what is wrong.
    FlushNow();
    error = reason == SSL_ERROR_ZERO_RETURN ? boost::system::error_code(asio::error::eof)
                                            : BrokenConnection();
  }
  // Posted, so that a user that reads on does not call itself.
  asio::post(executor(), [user = std::move(user), error, size] { user->OnRead(error, size); });
}

void TlsTransport::Receive(asio::mutable_buffer buffer, TransportUserPtr user) {
  socket_.async_read_some(asio::buffer(received_), [this, buffer, user = std::move(user)](
                                                       const auto& error, size_t size) mutable {
    if (error) return user->OnRead(error, 0);
    const int taken = BIO_write(SSL_get_rbio(ssl_.get()), received_.data(), static_cast<int>(size));
    if (taken != static_cast<int>(size)) return user->OnRead(asio::error::no_memory, 0);
    Read(buffer, std::move(user));
  });
}

void TlsTransport::Write(asio::const_buffer bytes, TransportUserPtr user) {
  ERR_clear_error();
  size_t size = 0;
  const int result =
      SSL_write_ex(ssl_.get(), bytes.data(), std::min(bytes.size(), kRecordBytes), &size);
  if (result != 1) {
    // Also if the handshake is not over.
    asio::post(executor(), [user = std::move(user)] { user->OnWritten(BrokenConnection(), 0); });
    return;
  }
  writer_ = user;
  written_bytes_ = size;
  Flush(user);
}

void TlsTransport::Flush(const TransportUserPtr& user) {
  if (flushing_ || BIO_ctrl_pending(SSL_get_wbio(ssl_.get())) == 0) return;
  sending_ = TakeRecords();
  flushing_ = true;
  asio::async_write(socket_, asio::buffer(sending_),
                    [this, user](const auto& error, size_t) { OnFlushed(error, user); });
}

void TlsTransport::OnFlushed(const boost::system::error_code& error, const TransportUserPtr& user) {
  flushing_ = false;
  if (!error && BIO_ctrl_pending(SSL_get_wbio(ssl_.get())) > 0) return Flush(user);
  if (shutdown_wanted_) {
    boost::system::error_code ignored;
    socket_.shutdown(asio::socket_base::shutdown_send, ignored);
  }
  if (const auto writer = std::exchange(writer_, nullptr)) {
    writer->OnWritten(error, error ? 0 : written_bytes_);
  }
}

void TlsTransport::FlushNow() {
  // Records must not overtake those that are being sent.
  if (flushing_) return;
  const std::string records = TakeRecords();
  boost::system::error_code ignored;
  socket_.non_blocking(true, ignored);
  socket_.write_some(asio::buffer(records), ignored);
}

std::string TlsTransport::TakeRecords() {
  BIO* const outgoing = SSL_get_wbio(ssl_.get());
  std::string records(BIO_ctrl_pending(outgoing), '\0');
  const int size = BIO_read(outgoing, records.data(), static_cast<int>(records.size()));
  records.resize(static_cast<size_t>(std::max(size, 0)));
  return records;
}

void TlsTransport::WriteLast(std::string_view bytes) {
  ERR_clear_error();
  size_t size = 0;
  if (SSL_write_ex(ssl_.get(), bytes.data(), bytes.size(), &size) == 1) SSL_shutdown(ssl_.get());
  FlushNow();
  boost::system::error_code ignored;
  socket_.shutdown(asio::socket_base::shutdown_send, ignored);
}

bool TlsTransport::ShutdownSend(const TransportUserPtr& user) {
  ERR_clear_error();
  if (SSL_shutdown(ssl_.get()) < 0) return false;
  shutdown_wanted_ = true;
  Flush(user);
  return true;
}

}  // namespace dray::http
