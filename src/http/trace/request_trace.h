// What a connection remembers of a request until its answer has been sent: for the answer's headers and for the
// access log.
#pragma once

#include <chrono>
#include <optional>
#include <string>

#include "http/request.h"
#include "http/response.h"
#include "http/trace/trace_context.h"

namespace dray::http {

struct RequestTrace {
  using Clock = std::chrono::steady_clock;

  // "" if the server gives requests no ids.
  std::string id;
  // Both "" if the request could not be read.
  std::string method;
  std::string target;
  int minor_version = 1;
  std::optional<TraceContext> context;
  // The client asks how long the answer took (x-server-timing: true).
  bool wants_timing = false;
  // When the headers were whole.
  Clock::time_point start;
  // Of the answer; 0 before there is one.
  int status = 0;
  std::optional<double> model_seconds;
};

// `id_header` names the header with the request's id; "": requests have none.
RequestTrace MakeRequestTrace(const Request& request, const std::string& id_header,
                              RequestTrace::Clock::time_point start);

// Remembers the answer's status, and adds the headers that say what `trace` knows: x-request-id, traceparent and
// Server-Timing.
void AddTraceHeaders(RequestTrace& trace, ResponseHead& head);

// One answered request, as the access log has it.
struct AccessRecord {
  // The client's address.
  std::string client;
  RequestTrace request;
  std::chrono::duration<double> time{};
};

// What DJLServing's access log has: CLIENT "METHOD TARGET HTTP/1.x" STATUS MILLISECONDS.
std::string AccessLine(const AccessRecord& record);

}  // namespace dray::http
