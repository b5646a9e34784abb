// See connection.h for the stages.
#include "http/connection.h"

#include <fmt/format.h>

#include <boost/asio/buffer.hpp>
#include <boost/asio/post.hpp>
#include <exception>
#include <new>
#include <utility>

#include "base/log.h"

namespace dray::http {
namespace {

namespace asio = boost::asio;

// Input beyond the current request that is read ahead, so that a client's leaving is
// noticed at once.
constexpr size_t kMaxReadAheadBytes = 64 * 1024;

constexpr const char* kNoMemory = "the server has no memory left for this request; try again";

constexpr std::string_view kContinue = "HTTP/1.1 100 Continue\r\n\r\n";

}  // namespace

Connection::Connection(Socket socket, std::shared_ptr<ServerState> server)
    : server_(std::move(server)),
      registration_{this, server_.get()},
      timeouts_(server_->options.timeouts),
      socket_(std::move(socket)),
      timer_(socket_.get_executor()),
      parser_(server_->options.limits, server_->body_budget) {}

Connection::Registration::~Registration() {
  const std::lock_guard lock(server->mutex);
  server->connections.erase(connection);
  server->changed.notify_all();
}

template <typename Action>
void Connection::Contain(const Action& action) {
  try {
    action();
    return;
  } catch (const std::bad_alloc&) {
  }
  // Refusing a request frees its memory, which may be enough to answer.
  try {
    const bool is_answered =
        stage_ != Stage::kReading && (stage_ != Stage::kHandling || head_queued_);
    if (is_answered) return Reset();
    Refuse(503, kNoMemory);
    Read();
    UpdateDeadline();
  } catch (const std::bad_alloc&) {
    Reset();
  }
}

void Connection::Start(Admission admission) {
  asio::post(socket_.get_executor(), [self = shared_from_this(), admission] {
    boost::system::error_code ignored;
    self->socket_.set_option(asio::ip::tcp::no_delay(true), ignored);
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
  socket_.async_read_some(asio::buffer(read_buffer_),
                          [self = shared_from_this()](const auto& error, size_t size) {
                            self->Contain([&] { self->OnRead(error, size); });
                          });
}

void Connection::OnRead(const boost::system::error_code& error, size_t size) {
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

void Connection::ReadRequest() {
  if (stage_ != Stage::kReading || input_.empty()) return;
  const bool head_was_done = parser_.head_done();
  const size_t used = parser_.Consume(input_);
  input_.erase(0, used);
  if (parser_.failed()) return Refuse(parser_.error_status(), parser_.error_message());
  if (parser_.head_done() && !head_was_done) body_start_ = Clock::now();
  if (parser_.done()) return Dispatch();
  if (!parser_.head_done()) return;
  // A health check has no body.
  if (admission_ == Admission::kHealthCheckOnly) return Refuse(503, kTooManyConnections);
  CheckBodyRate();
  if (stage_ == Stage::kReading && parser_.expects_continue() && !continue_sent_ &&
      parser_.body_bytes() == 0) {
    continue_sent_ = true;
    output_ += kContinue;
    Flush();
  }
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
  // The request's memory is free from here on, not only when the client has read the answer.
  parser_.Reset();
  std::string().swap(input_);
  close_after_ = true;
  head_request_ = false;
  QueueResponse(server_->MakeError(status, message, nullptr));
}

void Connection::Dispatch() {
  close_after_ = !parser_.keep_alive() || admission_ == Admission::kHealthCheckOnly;
  continue_sent_ = false;
  first_request_ = false;
  Request request = parser_.Take();
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
  Router::Match match = server_->router.Find(request.method, request.path);
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
  Exchange::Setup setup;
  setup.id = exchange_id_;
  setup.stream_framing = minor_version_ == 1 ? BodyFraming::kChunked : BodyFraming::kUntilClose;
  setup.head_only = head_request_;
  setup.max_unsent_bytes = server_->options.max_unsent_bytes;
  auto exchange = std::make_shared<Exchange>(shared_from_this(), setup);
  exchange_ = exchange;
  try {
    (*match.handler)(std::move(request), exchange);
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
}

template <typename Action>
void Connection::PostFor(uint64_t id, Action action) {
  asio::post(socket_.get_executor(),
             [self = shared_from_this(), id, action = std::move(action)]() mutable {
               const bool current = self->in_exchange_ && self->exchange_id_ == id;
               if (!current || self->stage_ != Stage::kHandling) return;
               self->Contain([&] {
                 action(*self);
                 self->UpdateDeadline();
               });
             });
}

void Connection::PostResponse(uint64_t id, Response response) {
  PostFor(id, [response = std::move(response)](Connection& self) mutable {
    self.QueueResponse(std::move(response));
  });
}

void Connection::PostError(uint64_t id, int status, const std::string& message) {
  PostResponse(id, server_->MakeError(status, message, nullptr));
}

void Connection::PostHead(uint64_t id, ResponseHead head) {
  PostFor(id, [head = std::move(head)](Connection& self) mutable {
    self.QueueHead(std::move(head));
    self.Flush();
  });
}

void Connection::PostBytes(uint64_t id, std::string bytes) {
  PostFor(id, [bytes = std::move(bytes)](Connection& self) {
    self.output_ += bytes;
    self.Flush();
  });
}

void Connection::PostEnd(uint64_t id) {
  PostFor(id, [](Connection& self) { self.QueueEnd(); });
}

void Connection::PostAbort(uint64_t id) {
  PostFor(id, [](Connection& self) { self.Reset(); });
}

void Connection::PostCloseIdle() {
  asio::post(socket_.get_executor(), [self = shared_from_this()] {
    const bool idle = self->stage_ == Stage::kReading && self->parser_.idle();
    if (idle && self->input_.empty()) self->Linger();
    self->UpdateDeadline();
  });
}

void Connection::PostStop() {
  asio::post(socket_.get_executor(), [self = shared_from_this()] {
    if (self->stage_ == Stage::kHandling && !self->head_queued_) {
      // The client gets a reason, if it takes it at once.
      self->close_after_ = true;
      const Response response = self->server_->MakeError(503, "the server has shut down", nullptr);
      ResponseHead head = response.head;
      head.persistence = Persistence::kClose;
      const std::string bytes =
          SerializeHead(head, BodyFraming::kLength, response.body.size()) + response.body;
      boost::system::error_code ignored;
      self->socket_.non_blocking(true, ignored);
      self->socket_.write_some(asio::buffer(bytes), ignored);
      self->socket_.shutdown(asio::socket_base::shutdown_send, ignored);
      return self->Close();
    }
    if (self->stage_ == Stage::kHandling) return self->Reset();
    self->Close();
  });
}

void Connection::QueueHead(ResponseHead head) {
  if (server_->draining || head.persistence == Persistence::kClose) close_after_ = true;
  if (minor_version_ == 0) close_after_ = true;
  head.persistence = close_after_ ? Persistence::kClose : Persistence::kKeepAlive;
  head_queued_ = true;
  const BodyFraming framing =
      minor_version_ == 1 ? BodyFraming::kChunked : BodyFraming::kUntilClose;
  const std::string bytes = SerializeHead(head, framing, 0);
  if (const auto exchange = exchange_.lock()) exchange->AddUnsent(bytes.size());
  output_ += bytes;
}

void Connection::QueueResponse(Response response) {
  if (server_->draining || response.head.persistence == Persistence::kClose) close_after_ = true;
  response.head.persistence = close_after_ ? Persistence::kClose : Persistence::kKeepAlive;
  const std::string head = SerializeHead(response.head, BodyFraming::kLength, response.body.size());
  const bool has_body = !head_request_ && response.head.status != 204;
  // The memory first: without it no part of this answer may stand in the way of another.
  output_.reserve(output_.size() + head.size() + (has_body ? response.body.size() : 0));
  head_queued_ = true;
  output_ += head;
  if (has_body) output_ += response.body;
  stage_ = Stage::kFlushing;
  Flush();
}

void Connection::QueueEnd() {
  if (minor_version_ == 1 && !head_request_) output_ += kLastChunk;
  stage_ = Stage::kFlushing;
  // The client may have received everything already.
  if (output_.empty() && writing_.empty()) return OnFlushed();
  Flush();
}

void Connection::Flush() {
  if (!writing_.empty() || output_.empty()) return;
  writing_ = std::exchange(output_, {});
  written_ = 0;
  last_output_ = Clock::now();
  OnWritten({}, 0);
}

void Connection::OnWritten(const boost::system::error_code& error, size_t size) {
  if (stage_ == Stage::kClosed) return;
  if (error) return Close();
  written_ += size;
  if (size > 0) {
    last_output_ = Clock::now();
    if (const auto exchange = exchange_.lock()) exchange->OnSent(size);
  }
  if (written_ == writing_.size()) {
    writing_.clear();
    if (output_.empty()) {
      if (stage_ == Stage::kFlushing) OnFlushed();
      return UpdateDeadline();
    }
    writing_ = std::exchange(output_, {});
    written_ = 0;
  }
  socket_.async_write_some(asio::buffer(writing_.data() + written_, writing_.size() - written_),
                           [self = shared_from_this()](const auto& write_error, size_t bytes) {
                             self->Contain([&] { self->OnWritten(write_error, bytes); });
                           });
}

void Connection::OnFlushed() {
  FinishExchange(Exchange::Outcome::kSent);
  // A connection that waits for its next request does not keep the memory of its last answer.
  std::string().swap(writing_);
  if (close_after_) return Linger();
  stage_ = Stage::kReading;
  request_start_ = last_input_ = Clock::now();
  ProcessInput(0);
  Read();
}

void Connection::FinishExchange(Exchange::Outcome outcome) {
  if (!std::exchange(in_exchange_, false)) return;
  if (outcome == Exchange::Outcome::kCancelled) ++server_->cancelled;
  const auto exchange = exchange_.lock();
  exchange_.reset();
  if (exchange != nullptr) exchange->Finish(outcome);
  const std::lock_guard lock(server_->mutex);
  if (--server_->requests_in_flight == 0) server_->changed.notify_all();
}

void Connection::Linger() {
  boost::system::error_code error;
  socket_.shutdown(asio::socket_base::shutdown_send, error);
  if (error) return Close();
  stage_ = Stage::kLingering;
  linger_start_ = Clock::now();
  input_.clear();
  Read();
  UpdateDeadline();
}

void Connection::Close() {
  if (stage_ == Stage::kClosed) return;
  stage_ = Stage::kClosed;
  parser_.Reset();
  FinishExchange(Exchange::Outcome::kCancelled);
  boost::system::error_code ignored;
  socket_.close(ignored);
  timer_.cancel();
}

void Connection::Reset() {
  boost::system::error_code ignored;
  if (stage_ != Stage::kClosed) {
    socket_.set_option(asio::socket_base::linger(true, 0), ignored);
  }
  Close();
}

}  // namespace dray::http
