// Reading requests and calling their handlers; answer.cc sends the answers. See connection.h for the stages.
#include "http/connection/connection.h"

#include <fmt/format.h>

#include <boost/asio/buffer.hpp>
#include <boost/asio/post.hpp>
#include <exception>
#include <new>
#include <utility>

#include "base/log.h"
#include "http/auth/api_keys.h"

namespace dray::http {
namespace {

namespace asio = boost::asio;

// Input beyond the current request that is read ahead, so that a client's leaving is
// noticed at once.
constexpr size_t kMaxReadAheadBytes = 64 * 1024;

constexpr const char* kNoKey =
    "the request shows no API key that is accepted here; send one as Authorization: Bearer KEY or "
    "as "
    "x-api-key: KEY";

constexpr std::string_view kContinue = "HTTP/1.1 100 Continue\r\n\r\n";

}  // namespace

Connection::Connection(std::unique_ptr<Transport> transport, std::shared_ptr<ServerState> server,
                       const Endpoint& endpoint)
    : server_(std::move(server)),
      registration_{this, server_.get()},
      endpoint_(endpoint),
      timeouts_(server_->options.timeouts),
      transport_(std::move(transport)),
      timer_(transport_->executor()),
      parser_(server_->options.limits, server_->body_budget) {
  if (server_->options.on_answered) transport_->RememberPeer();
}

Connection::Registration::~Registration() {
  const std::lock_guard lock(server->mutex);
  server->connections.erase(connection);
  server->changed.notify_all();
}

void Connection::Start(Admission admission) {
  asio::post(transport_->executor(), [self = shared_from_this(), admission] {
    self->request_start_ = self->last_input_ = self->last_output_ = Clock::now();
    self->admission_ = admission;
    self->Read();
    self->UpdateDeadline();
  });
}

void Connection::Read() {
  if (reading_ || stage_ == Stage::kClosed) return;
  if (input_ended_) return Close();
  if (stage_ != Stage::kLingering && input_.size() >= kMaxReadAheadBytes) return;
  reading_ = true;
  transport_->Read(asio::buffer(read_buffer_), shared_from_this());
}

void Connection::OnRead(const boost::system::error_code& error, size_t size) {
  Contain([&] { TakeInput(error, size); });
}

void Connection::TakeInput(const boost::system::error_code& error, size_t size) {
  reading_ = false;
  if (stage_ == Stage::kClosed) return;
  // The whole answer may be sent already, with its completion still queued after this call. If the
  // client is gone, writing will fail.
  if (error == asio::error::eof && stage_ == Stage::kFlushing) {
    input_ended_ = true;
    return;
  }
  // A client that closes its end is gone, so it will not read an answer.
  if (error) return Close();
  if (stage_ != Stage::kLingering) {
    const bool was_idle = parser_.idle();
    last_input_ = Clock::now();
    if (was_idle && stage_ == Stage::kReading && !first_request_) request_start_ = last_input_;
    ProcessInput(size);
  }
  Read();
  UpdateDeadline();
}

void Connection::ProcessInput(size_t new_bytes) {
  try {
    input_.append(read_buffer_.data(), new_bytes);
    ReadRequest();
  } catch (const std::bad_alloc&) {
    Refuse(503, kNoMemory);
  }
}

void Connection::ContinueReading() {
  asio::post(transport_->executor(), [self = shared_from_this()] {
    self->Contain([&] {
      self->ProcessInput(0);
      self->Read();
      self->UpdateDeadline();
    });
  });
}

void Connection::ReadRequest() {
  if (stage_ != Stage::kReading || input_.empty()) return;
  const bool head_was_done = parser_.head_done();
  const size_t used = parser_.Consume(input_);
  input_.erase(0, used);
  // A copy of the message, for Refuse empties the parser.
  if (parser_.failed()) return Refuse(parser_.error_status(), std::string(parser_.error_message()));
  if (parser_.head_done() && !head_was_done) {
    body_start_ = Clock::now();
    CheckHead();
    if (stage_ != Stage::kReading) return;
  }
  if (parser_.done()) return Dispatch();
  if (!parser_.head_done()) return;
  // A health check has no body.
  if (admission_ == Admission::kHealthCheckOnly) return Refuse(503, kTooManyConnections);
  CheckBodyRate();
  if (stage_ == Stage::kReading && !input_.empty()) return ContinueReading();
  if (stage_ == Stage::kReading && parser_.expects_continue() && !continue_sent_ &&
      parser_.body_bytes() == 0) {
    continue_sent_ = true;
    output_ += kContinue;
    Flush();
  }
}

void Connection::CheckHead() {
  const RequiredKeys& required = server_->options.required_keys;
  if (required.ordinary == nullptr && required.management == nullptr) return;
  // A stranger's body is not even read.
  const Request& head = parser_.request();
  const Router::Match match = endpoint_.router.Find(head.method, head.path);
  const auto& keys = match.kind == RouteKind::kManagement ? required.management : required.ordinary;
  if (keys == nullptr || match.kind == RouteKind::kHealthCheck) return;
  // A browser asks without a key whether a page may send one.
  if (head.method == "OPTIONS" && match.handler != nullptr) return;
  if (!keys->Accepts(head.headers)) Refuse(401, kNoKey);
}

void Connection::CheckBodyRate() {
  const auto spent = last_input_ - body_start_;
  if (spent < timeouts_.body_idle) return;
  const auto ms =
      static_cast<uint64_t>(std::chrono::duration_cast<std::chrono::milliseconds>(spent).count());
  const uint64_t least = server_->options.min_body_bytes_per_second;
  if (parser_.body_bytes() < least * ms / 1000) {
    Refuse(408,
           fmt::format("the request's body comes too slowly: {} bytes in {:.1f} s, and at least {} "
                       "a second are wanted",
                       parser_.body_bytes(), static_cast<double>(ms) / 1000, least));
  }
}

void Connection::Refuse(int status, const std::string& message) {
  BeginTrace();
  accepted_coding_ = ContentCoding::kIdentity;
  Response response = server_->MakeError(
      status, message, parser_.request().path.empty() ? nullptr : &parser_.request());
  // The request's memory is free from here on, not only when the client has read the answer.
  parser_.Reset();
  std::string().swap(input_);
  close_after_ = true;
  head_request_ = false;
  request_whole_ = false;
  if (status == 401) response.head.headers.Add("WWW-Authenticate", "Bearer");
  QueueResponse(std::move(response));
}

void Connection::BeginTrace() {
  const auto start = parser_.head_done() ? body_start_ : request_start_;
  trace_ = MakeRequestTrace(parser_.request(), server_->options.request_id_header, start);
}

void Connection::Dispatch() {
  close_after_ = !parser_.keep_alive() || admission_ == Admission::kHealthCheckOnly;
  continue_sent_ = false;
  first_request_ = false;
  request_whole_ = true;
  BeginTrace();
  Request request = parser_.Take();
  request.id = trace_.id;
  accepted_coding_ = ChooseCoding(request.headers);
  head_request_ = request.method == "HEAD";
  minor_version_ = request.minor_version;
  stage_ = Stage::kHandling;
  head_queued_ = false;
  in_exchange_ = true;
  ++exchange_id_;
  ++server_->requests;
  {
    const std::lock_guard lock(server_->mutex);
    ++server_->requests_in_flight;
  }
  CallHandler(std::move(request));
}

void Connection::CallHandler(Request request) {
  if (server_->draining) {
    return QueueResponse(
        server_->MakeError(503, "the server is shutting down; try another one", &request));
  }
  Router::Match match = endpoint_.router.Find(request.method, request.path);
  if (admission_ == Admission::kHealthCheckOnly && match.kind != RouteKind::kHealthCheck) {
    return QueueResponse(server_->MakeError(503, kTooManyConnections, &request));
  }
  if (match.handler == nullptr) {
    const bool other_method = !match.allow.empty();
    Response response =
        other_method
            ? server_->MakeError(
                  405, "Requested method is not allowed, please refer to API document.", &request)
            : server_->MakeError(
                  404, "Requested resource is not found, please refer to API document.", &request);
    if (other_method) response.head.headers.Add("Allow", match.allow);
    return QueueResponse(std::move(response));
  }
  request.path_parameters = std::move(match.parameters);
  RunHandler(*match.handler, std::move(request));
}

void Connection::RunHandler(const Handler& handler, Request request) {
  Exchange::Setup setup;
  setup.id = exchange_id_;
  setup.stream_framing = minor_version_ == 1 ? BodyFraming::kChunked : BodyFraming::kUntilClose;
  setup.head_only = head_request_;
  setup.max_unsent_bytes = server_->options.max_unsent_bytes;
  auto exchange = std::make_shared<Exchange>(shared_from_this(), setup);
  exchange_ = exchange;
  handler_runs_ = true;
  try {
    handler(std::move(request), exchange);
  } catch (const std::bad_alloc&) {
    LogWarning("a request was refused for lack of memory");
    exchange->Send(server_->MakeError(503, kNoMemory, nullptr));
  } catch (const std::exception& error) {
    ++server_->handler_exceptions;
    LogError(std::string("a request handler threw: ") + error.what());
    exchange->Send(server_->MakeError(500, "internal error", nullptr));
  } catch (...) {
    ++server_->handler_exceptions;
    LogError("a request handler threw something that is no exception");
    exchange->Send(server_->MakeError(500, "internal error", nullptr));
  }
  handler_runs_ = false;
  if (!answer_of_handler_) return;
  Response answer = *std::move(answer_of_handler_);
  answer_of_handler_.reset();
  QueueResponse(std::move(answer));
}

}  // namespace dray::http
