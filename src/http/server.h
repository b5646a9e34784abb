// The HTTP server: listens, reads requests under limits, calls the route's handler,
// sends its answer.
//
// Threads: owns `num_threads` threads, on which handlers and their cancel callbacks run, each
// connection's on the one thread that serves it; a handler must not block them. Start, Drain and Stop
// belong to one thread of the owner; the rest may be called from any thread.
#pragma once

#include <array>
#include <chrono>
#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "base/status.h"
#include "http/listen/endpoint.h"
#include "http/parse/request_parser.h"
#include "http/response.h"
#include "http/router.h"
#include "http/trace/request_trace.h"

namespace dray::http {

// How long each stage of a connection may last.
struct Timeouts {
  // From a request's first byte (on a new connection: from its start) to the end of its headers.
  std::chrono::milliseconds header{10'000};
  // Between two pieces of a body.
  std::chrono::milliseconds body_idle{10'000};
  // From a body's first byte to its last: 64 MiB at 220 KiB/s.
  std::chrono::milliseconds body{300'000};
  // Without a request.
  std::chrono::milliseconds keep_alive{75'000};
  // While the client takes nothing of what it is to be sent.
  std::chrono::milliseconds send_stall{30'000};
  // Of a connection above max_connections, from its start to the end of its request's headers.
  std::chrono::milliseconds overflow_header{1'000};
  // Between our end of a connection and the client's, so that it can read the last answer.
  std::chrono::milliseconds linger{2'000};
};

class ApiKeys;

// The keys of which a request must show one, by the kind of its route. Null: it needs none. A request without a
// route is taken for an ordinary one.
struct RequiredKeys {
  std::shared_ptr<const ApiKeys> ordinary;
  std::shared_ptr<const ApiKeys> management;
};

struct ServerOptions {
  int num_threads = 2;
  ParserLimits limits;
  Timeouts timeouts;
  // Connections over this may ask for a health check; any other request gets a 503.
  int max_connections = 1024;
  // From `body_idle` on, a body that came more slowly on average is refused with 408. 8 KiB/s is a line
  // of 64 kbit/s; a body of 80 KiB is always given its 10 s.
  uint64_t min_body_bytes_per_second = 8 * 1024;
  // Of one streamed answer, waiting to be sent; over it the client counts as gone.
  size_t max_unsent_bytes = size_t{1} << 20;
  // Of all bodies that are in memory: being read, waiting for their handlers, or not yet dropped by
  // them (Request::DropBody). Requests over it get a 503.
  uint64_t max_total_body_bytes = uint64_t{512} << 20;
  // Of that, what bodies above 64 KiB may not take, so that small ones find room beside any number of them.
  uint64_t small_only_body_bytes = 0;
  // The request header whose value is the request's id. A request without it gets a random id. Every answer has
  // the id as x-request-id. "": requests have no ids.
  std::string request_id_header;
  // Added to every answer that has no header of the same name.
  Headers default_headers;
  RequiredKeys required_keys;
  // Called on a server thread when an answer has been sent, or when its client has left before (status 499).
  // May be null.
  std::function<void(const AccessRecord& record)> on_answered;
  // The body and headers of errors that the server itself answers. `request` is null if its first line
  // could not be read; the rest of it may be missing.
  std::function<Response(int status, const std::string& message, const Request* request)>
      make_error;
};

struct ServerStats {
  int64_t connections = 0;
  int64_t requests_in_flight = 0;
  uint64_t requests = 0;
  uint64_t cancelled = 0;
  // Answers whose head was sent, [status / 100 - 1].
  std::array<uint64_t, 5> responses{};
  // Exceptions that escaped a handler; each is a bug.
  uint64_t handler_exceptions = 0;
};

class Server {
 public:
  // Listens on every endpoint (at least one) and begins to serve. The limits of `options` are for all of them
  // together. kIo if an address cannot be used; the message names it.
  static Result<std::unique_ptr<Server>> Start(ServerOptions options,
                                               std::vector<Endpoint> endpoints);

  Server(const Server&) = delete;
  Server& operator=(const Server&) = delete;
  // Stops the server first, unless Stop was called.
  ~Server();

  // Of the endpoint with this index; 0 for a Unix socket.
  uint16_t port(size_t endpoint_idx = 0) const;
  ServerStats stats() const;

  // Takes no more connections and refuses new requests with 503, then waits for the requests in
  // flight. True if all were answered before `timeout`; the others go on until Stop.
  bool Drain(std::chrono::milliseconds timeout);
  // Cancels what is still in flight, closes every connection and ends the threads.
  void Stop();

 private:
  class Impl;
  explicit Server(std::unique_ptr<Impl> impl);
  std::unique_ptr<Impl> impl_;
};

}  // namespace dray::http
