// One client connection: reads requests, calls handlers, sends answers, in that order, one request
// at a time.
//
// Threads: everything private runs on the one server thread that serves the connection; the Post
// methods may be called from any thread. The object lives as long as one of its asynchronous
// operations, or an unfinished exchange, does.
#pragma once

#include <array>
#include <boost/asio/steady_timer.hpp>
#include <chrono>
#include <cstdint>
#include <memory>
#include <new>
#include <optional>
#include <string>

#include "http/connection/exchange.h"
#include "http/connection/server_state.h"
#include "http/encoding/content_coding.h"
#include "http/parse/request_parser.h"
#include "http/transport/transport.h"

namespace dray::http {

inline constexpr const char* kTooManyConnections =
    "the server has as many connections as it accepts; try again";
inline constexpr const char* kNoMemory =
    "the server has no memory left for this request; try again";

class Connection : public TransportUser, public std::enable_shared_from_this<Connection> {
 public:
  // `endpoint` is one of the server's.
  Connection(std::unique_ptr<Transport> transport, std::shared_ptr<ServerState> server,
             const Endpoint& endpoint);

  // kHealthCheckOnly, for connections above the limit: answers one request, a health check as usual and
  // any other with 503, and closes.
  enum class Admission { kServe, kHealthCheckOnly };
  void Start(Admission admission);

  // For exchanges; ignored unless `id` is the current exchange.
  void PostResponse(uint64_t id, Response response);
  void PostError(uint64_t id, int status, const std::string& message);
  void PostHead(uint64_t id, ResponseHead head);
  void PostBytes(uint64_t id, std::string bytes);
  void PostEnd(uint64_t id);
  void PostAbort(uint64_t id);

  // For the server: closes if no request has begun.
  void PostCloseIdle();
  // Answers 503 if no answer has begun, or breaks the answer off; then closes.
  void PostStop();

  void OnRead(const boost::system::error_code& error, size_t size) override;
  void OnWritten(const boost::system::error_code& error, size_t size) override;

 private:
  using Clock = std::chrono::steady_clock;
  using Timer = boost::asio::basic_waitable_timer<Clock, boost::asio::wait_traits<Clock>, Executor>;
  enum class Stage {
    kReading,    // a request, or waiting for one
    kHandling,   // its handler owes us (more of) the answer
    kFlushing,   // the answer is whole, the client has not taken all of it
    kLingering,  // our end is closed, the client's is not
    kClosed,
  };

  void Read();
  void TakeInput(const boost::system::error_code& error, size_t size);
  // Takes the first `new_bytes` of read_buffer_ and parses all input so far; refuses the request if there is
  // no memory for that.
  void ProcessInput(size_t new_bytes);
  void ReadRequest();
  // Goes on with input that has come, after other connections had their turn.
  void ContinueReading();
  // Refuses a request by its head alone.
  void CheckHead();
  void CheckBodyRate();
  void Dispatch();
  void CallHandler(Request request);
  void RunHandler(const Handler& handler, Request request);
  void Refuse(int status, const std::string& message);
  // Remembers what is known of the request that the parser reads.
  void BeginTrace();

  // Adds the headers that all answers of the server have, and counts the answer.
  void CompleteHead(ResponseHead& head);
  // Tells the server's access log that the answer is over.
  void ReportAnswer();
  void QueueResponse(Response response);
  void QueueHead(ResponseHead head);
  void QueueEnd();
  void Flush();
  // Whether bytes are left to be sent; what comes after the last of them has been done if there are none.
  bool HasUnsent();
  void NoteWritten(size_t size);
  void Advance(const boost::system::error_code& error, size_t size);
  void OnFlushed();

  void FinishExchange(Exchange::Outcome outcome);
  // Ends the connection after its last answer.
  void EndInOrder();
  void Linger();
  void Close();
  // Close with a reset, so that the client cannot take a broken stream for a whole one.
  void Reset();

  void UpdateDeadline();
  void WaitForDeadline();
  void OnDeadline();
  void RefuseLate();

  // Removes the connection from the server's list. It is a member so that this happens only after
  // the socket and the timer are destroyed: at its end the server waits for an empty list before it
  // destroys the services that they use.
  struct Registration {
    ~Registration();
    Connection* connection;
    ServerState* server;
  };

  // Runs `action`. Without memory for it, a request that has no answer yet is refused; if there is no memory
  // for that either, or the answer has begun, closes the connection with a reset.
  template <typename Action>
  void Contain(const Action& action);
  // Runs `action` on the connection's thread if exchange `id` is still the current one.
  template <typename Action>
  void PostFor(uint64_t id, Action action);

  const std::shared_ptr<ServerState> server_;
  const Registration registration_;
  const Endpoint& endpoint_;
  const Timeouts timeouts_;
  const std::unique_ptr<Transport> transport_;
  Timer timer_;
  RequestParser parser_;
  Stage stage_ = Stage::kReading;
  Admission admission_ = Admission::kServe;

  std::array<char, 16 * 1024> read_buffer_;
  // Read, and not yet parsed.
  std::string input_;
  bool reading_ = false;
  // The client has closed its end while the last answer was on its way to it.
  bool input_ended_ = false;
  bool continue_sent_ = false;

  // The bytes of `writing_` from `written_` on are being sent; `output_` is sent after them.
  std::string output_;
  std::string writing_;
  size_t written_ = 0;
  bool close_after_ = false;

  // The current exchange; `head_request_`, ... are its request's.
  uint64_t exchange_id_ = 0;
  bool in_exchange_ = false;
  std::weak_ptr<Exchange> exchange_;
  // Of the current request, or the last one.
  RequestTrace trace_;
  // Of the current request: what its client wants.
  ContentCoding accepted_coding_ = ContentCoding::kIdentity;
  bool head_queued_ = false;
  bool head_request_ = false;
  // Whether all of the request was read before it was answered.
  bool request_whole_ = false;
  // While the handler runs; the answer that it gives meanwhile is sent when it returns.
  bool handler_runs_ = false;
  std::optional<Response> answer_of_handler_;
  int minor_version_ = 1;

  bool first_request_ = true;
  Clock::time_point request_start_;
  Clock::time_point body_start_;
  Clock::time_point last_input_;
  Clock::time_point last_output_;
  Clock::time_point linger_start_;
  Clock::time_point deadline_ = Clock::time_point::max();
  // When the pending timer fires; max: none is pending.
  Clock::time_point timer_at_ = Clock::time_point::max();
};

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

}  // namespace dray::http
