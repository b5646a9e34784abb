// Sending answers, and the end of a connection. Apart from connection.cc because handlers answer at any time,
// from any thread: everything here begins with a post to the connection's thread, but for the answer that a handler gives
// while the connection calls it.
#include <algorithm>
#include <boost/asio/buffer.hpp>
#include <boost/asio/post.hpp>
#include <string_view>
#include <utility>

#include "http/connection/connection.h"
#include "http/connection/courtesy.h"

namespace dray::http {

namespace asio = boost::asio;

template <typename Action>
void Connection::PostFor(uint64_t id, Action action) {
  asio::post(transport_->executor(),
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
  // handler_runs_ belongs to the connection's thread.
  if (transport_->executor().running_in_this_thread() && handler_runs_ && id == exchange_id_) {
    answer_of_handler_ = std::move(response);
    return;
  }
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
  asio::post(transport_->executor(), [self = shared_from_this()] {
    const bool idle = self->stage_ == Stage::kReading && self->parser_.idle();
    if (idle && self->input_.empty()) self->Linger();
    self->UpdateDeadline();
  });
}

void Connection::PostStop() {
  asio::post(transport_->executor(), [self = shared_from_this()] {
    if (self->stage_ == Stage::kHandling && !self->head_queued_) {
      // The client gets a reason, if it takes it at once.
      self->close_after_ = true;
      Response response = self->server_->MakeError(503, "the server has shut down", nullptr);
      self->CompleteHead(response.head);
      const std::string bytes =
          SerializeHead(response.head, BodyFraming::kLength, response.body.size()) + response.body;
      self->transport_->WriteLast(bytes);
      return self->Close();
    }
    if (self->stage_ == Stage::kHandling) return self->Reset();
    self->Close();
  });
}

void Connection::CompleteHead(ResponseHead& head) {
  AddTraceHeaders(trace_, head);
  for (const auto& [name, value] : server_->options.default_headers.fields()) {
    if (head.headers.Find(name) == nullptr) head.headers.Add(name, value);
  }
  // An answer that asks to come again is for lack of room.
  const bool refused = head.headers.Find("Retry-After") != nullptr;
  NoteAnswerForCourtesy(refused ? AnswerKind::kRefusalForLoad : AnswerKind::kAnswer, Clock::now());
  ++server_->responses.at(static_cast<size_t>(std::clamp(head.status / 100, 1, 5) - 1));
}

void Connection::ReportAnswer() {
  const auto& on_answered = server_->options.on_answered;
  if (on_answered && trace_.status != 0) {
    const auto time = Clock::now() - trace_.start;
    on_answered({.client = transport_->peer(), .request = std::move(trace_), .time = time});
  }
  trace_ = {};
}

void Connection::QueueHead(ResponseHead head) {
  if (server_->draining || head.persistence == Persistence::kClose) close_after_ = true;
  if (minor_version_ == 0) close_after_ = true;
  head.persistence = close_after_ ? Persistence::kClose : Persistence::kKeepAlive;
  CompleteHead(head);
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
  CompleteHead(response.head);
  CompressBody(response, accepted_coding_);
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
  Advance({}, 0);
}

void Connection::OnWritten(const boost::system::error_code& error, size_t size) {
  Contain([&] { Advance(error, size); });
}

void Connection::NoteWritten(size_t size) {
  if (size == 0) return;
  written_ += size;
  last_output_ = Clock::now();
  if (const auto exchange = exchange_.lock()) exchange->OnSent(size);
}

bool Connection::HasUnsent() {
  if (written_ < writing_.size()) return true;
  writing_.clear();
  written_ = 0;
  if (!output_.empty()) {
    writing_ = std::exchange(output_, {});
    return true;
  }
  if (stage_ == Stage::kFlushing) OnFlushed();
  UpdateDeadline();
  return false;
}

void Connection::Advance(const boost::system::error_code& error, size_t size) {
  if (stage_ == Stage::kClosed) return;
  if (error) return Close();
  NoteWritten(size);
  if (!HasUnsent()) return;
  const bool ends = stage_ == Stage::kFlushing && close_after_ && output_.empty();
  // Most answers fit into the system's buffer. One attempt is enough, so that no client keeps the others waiting.
  NoteWritten(
      transport_->TryWrite(std::string_view(writing_).substr(written_),
                           ends ? Transport::Follows::kEnd : Transport::Follows::kAnything));
  if (!HasUnsent()) return;
  transport_->Write(asio::buffer(writing_.data() + written_, writing_.size() - written_),
                    shared_from_this());
}

void Connection::OnFlushed() {
  FinishExchange(Exchange::Outcome::kSent);
  ReportAnswer();
  // A connection that waits for its next request does not keep the memory of its last answer.
  std::string().swap(writing_);
  if (close_after_) return EndInOrder();
  stage_ = Stage::kReading;
  request_start_ = last_input_ = Clock::now();
  // What has come of the next request is read later, since this may be called while the last one is being handled.
  if (!input_.empty()) return ContinueReading();
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

void Connection::EndInOrder() {
  // If the client may have sent more, the system would answer with a reset, which could overtake the answer. TLS has its
  // own last words.
  const bool may_have_sent_more = !request_whole_ || !input_.empty() || endpoint_.tls != nullptr;
  may_have_sent_more ? Linger() : Close();
}

void Connection::Linger() {
  if (!transport_->ShutdownSend(shared_from_this())) return Close();
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
  // As nginx has it: the client has left.
  if (in_exchange_) trace_.status = 499;
  FinishExchange(Exchange::Outcome::kCancelled);
  ReportAnswer();
  transport_->Close();
  timer_.cancel();
}

void Connection::Reset() {
  if (stage_ != Stage::kClosed) transport_->Reset();
  Close();
}

}  // namespace dray::http
