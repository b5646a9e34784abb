// Beast reads and writes the messages. If the server closed the connection between two calls, it is
// opened again. A call is sent again only if no byte of its answer had come.
#include "http/client/http_client.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <boost/asio/io_context.hpp>
#include <boost/asio/ip/tcp.hpp>
#include <boost/beast/core.hpp>
#include <boost/beast/http.hpp>
#include <chrono>
#include <optional>
#include <utility>

#include "base/check.h"
#include "base/parse/json.h"
#include "http/client/client_stream.h"

namespace dray::http {
namespace {

namespace asio = boost::asio;
namespace beast = boost::beast;
namespace wire = boost::beast::http;
using boost::system::error_code;

constexpr size_t kMaxErrorBody = 16 << 10;
constexpr size_t kMaxReason = 160;

// The message inside an error's JSON, else the beginning of its text.
std::string ReasonIn(const std::string& body) {
  const auto json = Json::Parse(body);
  if (json.ok()) {
    const Json* message = json->Find("message");
    if (const Json* error = json->Find("error"); error != nullptr) {
      message = error->Find("message") != nullptr ? error->Find("message") : error;
    }
    if (message != nullptr && message->AsString() != nullptr) {
      return message->AsString()->substr(0, kMaxReason);
    }
  }
  return body.substr(0, std::min(body.find('\n'), kMaxReason));
}

class BeastClient final : public HttpClient, public std::enable_shared_from_this<BeastClient> {
 public:
  BeastClient(asio::io_context& io, HttpServerAddress server)
      : io_(io),
        resolver_(io),
        url_(std::move(server.url)),
        tls_(std::move(server.tls)),
        timeout_(std::chrono::duration_cast<std::chrono::milliseconds>(
            std::chrono::duration<double>(server.timeout_seconds))) {}

  void Send(ClientCall call, OnBytes on_bytes, OnDone on_done) override {
    on_bytes_ = std::move(on_bytes);
    on_done_ = std::move(on_done);
    const auto verb = call.body ? wire::verb::post : wire::verb::get;
    request_ = {verb, url_.prefix + call.target, 11};
    request_.set(wire::field::host, url_.Authority());
    if (call.body) request_.set(wire::field::content_type, "application/json");
    for (const std::string& line : call.headers) {
      const size_t colon = line.find(':');
      const size_t value = line.find_first_not_of(' ', colon + 1);
      request_.insert(line.substr(0, colon), value == std::string::npos ? "" : line.substr(value));
    }
    if (call.body) request_.body() = *std::move(call.body);
    request_.prepare_payload();
    reused_ = stream_.has_value();
    reused_ ? Write() : Connect();
  }

 private:
  void Connect() {
    buffer_.clear();
    resolver_.async_resolve(url_.host, url_.port,
                            [self = shared_from_this()](const error_code& error, auto results) {
                              if (error) return self->Fail("cannot resolve the host", error);
                              self->ConnectTo(results);
                            });
  }

  void ConnectTo(const asio::ip::tcp::resolver::results_type& results) {
    stream_.emplace(io_, tls_ == nullptr ? nullptr : tls_->NewConnection(url_.host));
    stream_->tcp().expires_after(timeout_);
    stream_->tcp().async_connect(
        results, [self = shared_from_this()](const error_code& error, const auto&) {
          if (error) return self->Fail("cannot connect", error);
          error_code ignored;
          self->stream_->tcp().socket().set_option(asio::ip::tcp::no_delay(true), ignored);
          self->BeginTls();
        });
  }

  void BeginTls() {
    stream_->Handshake([self = shared_from_this()](const error_code& error) {
      if (!error) return self->Write();
      const std::string problem = CertificateProblem(self->stream_->ssl());
      if (problem.empty()) return self->Fail("cannot agree on TLS", error);
      self->Abandon({StatusCode::kUnavailable, kUntrustedServer + problem});
    });
  }

  void Write() {
    stream_->tcp().expires_after(timeout_);
    wire::async_write(*stream_, request_,
                      [self = shared_from_this()](const error_code& error, size_t) {
                        if (error) return self->FailOrRetry("cannot send", error);
                        self->ReadHeader();
                      });
  }

  void ReadHeader() {
    parser_.emplace();
    parser_->body_limit(boost::none);
    error_body_.clear();
    stream_->tcp().expires_after(timeout_);
    wire::async_read_header(*stream_, buffer_, *parser_,
                            [self = shared_from_this()](const error_code& error, size_t) {
                              if (error) return self->FailOrRetry("no answer", error);
                              self->ReadBody();
                            });
  }

  void ReadBody() {
    if (parser_->is_done()) return End();
    parser_->get().body().data = chunk_.data();
    parser_->get().body().size = chunk_.size();
    stream_->tcp().expires_after(timeout_);
    wire::async_read_some(*stream_, buffer_, *parser_,
                          [self = shared_from_this()](error_code error, size_t) {
                            if (error == wire::error::need_buffer) error = {};
                            if (error) return self->Fail("the answer broke off", error);
                            self->TakeBytes();
                          });
  }

  void TakeBytes() {
    const std::string_view bytes(chunk_.data(), chunk_.size() - parser_->get().body().size);
    if (parser_->get().result() != wire::status::ok) {
      error_body_.append(
          bytes.substr(0, kMaxErrorBody - std::min(kMaxErrorBody, error_body_.size())));
    } else if (!bytes.empty()) {
      const Status status = on_bytes_(bytes);
      if (!status.ok()) return Abandon(status);
    }
    ReadBody();
  }

  void End() {
    const unsigned code = parser_->get().result_int();
    if (!parser_->get().keep_alive()) Close();
    if (code == 200) return Done(OkStatus());
    Done(Status(StatusCode::kUnavailable, fmt::format("HTTP {}: {}", code, ReasonIn(error_body_))));
  }

  // The server may have closed a kept connection before it saw this call.
  void FailOrRetry(const char* what, const error_code& error) {
    const bool ours_to_retry = reused_ && error != beast::error::timeout;
    if (!ours_to_retry) return Fail(what, error);
    reused_ = false;
    Close();
    Connect();
  }

  void Fail(const char* what, const error_code& error) {
    const bool timed_out = error == beast::error::timeout;
    const std::string detail =
        timed_out ? fmt::format("nothing for {} s", timeout_.count() / 1000) : error.message();
    Abandon({timed_out ? StatusCode::kDeadlineExceeded : StatusCode::kUnavailable,
             fmt::format("{}: {}", what, detail)});
  }

  void Abandon(const Status& status) {
    Close();
    Done(status);
  }

  void Close() {
    stream_.reset();
    buffer_.clear();
  }

  // `on_done_` may post the next call.
  void Done(const Status& status) {
    on_bytes_ = nullptr;
    std::exchange(on_done_, nullptr)(status);
  }

  asio::io_context& io_;
  asio::ip::tcp::resolver resolver_;
  const Url url_;
  const std::shared_ptr<const ClientTls> tls_;
  const std::chrono::milliseconds timeout_;
  std::optional<ClientStream> stream_;
  beast::flat_buffer buffer_;
  wire::request<wire::string_body> request_;
  std::optional<wire::response_parser<wire::buffer_body>> parser_;
  std::array<char, 16384> chunk_{};
  std::string error_body_;
  bool reused_ = false;
  OnBytes on_bytes_;
  OnDone on_done_;
};

}  // namespace

std::shared_ptr<HttpClient> MakeHttpClient(asio::io_context& io, const HttpServerAddress& server) {
  DRAY_CHECK(server.url.tls == (server.tls != nullptr));
  return std::make_shared<BeastClient>(io, server);
}

Status CheckHeaderLine(std::string_view line) {
  const size_t colon = line.find(':');
  if (colon != 0 && colon != std::string_view::npos &&
      line.find_first_of("\r\n") == std::string_view::npos) {
    return OkStatus();
  }
  return {StatusCode::kInvalidArgument, fmt::format("header {}: it must be NAME: VALUE", line)};
}

}  // namespace dray::http
