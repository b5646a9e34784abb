#include "http/trace/request_trace.h"

#include <fmt/format.h>

#include <algorithm>

#include "http/trace/request_id.h"

namespace dray::http {
namespace {

// The time until the answer's head, and what of it the model took; the rest is the server's own.
std::string ServerTiming(const RequestTrace& trace) {
  constexpr double kMillisecondsPerSecond = 1000;
  const std::chrono::duration<double> spent = RequestTrace::Clock::now() - trace.start;
  const double total = spent.count() * kMillisecondsPerSecond;
  if (!trace.model_seconds) return fmt::format("total;dur={:.3f}", total);
  const double model = std::min(total, *trace.model_seconds * kMillisecondsPerSecond);
  return fmt::format("model;dur={:.3f}, overhead;dur={:.3f}, total;dur={:.3f}", model,
                     total - model, total);
}

}  // namespace

RequestTrace MakeRequestTrace(const Request& request, const std::string& id_header,
                              RequestTrace::Clock::time_point start) {
  RequestTrace trace;
  if (!id_header.empty()) trace.id = RequestId(request.headers, id_header);
  trace.method = request.method;
  trace.target = request.target;
  trace.minor_version = request.minor_version;
  if (const std::string* parent = request.headers.Find("traceparent")) {
    trace.context = ContinueTrace(*parent);
  }
  const std::string* const timing = request.headers.Find("x-server-timing");
  trace.wants_timing = timing != nullptr && EqualsIgnoreCase(*timing, "true");
  trace.start = start;
  return trace;
}

void AddTraceHeaders(RequestTrace& trace, ResponseHead& head) {
  trace.status = head.status;
  trace.model_seconds = head.model_seconds;
  if (!trace.id.empty()) head.headers.Add("x-request-id", trace.id);
  if (trace.context) head.headers.Add("traceparent", TraceParent(*trace.context));
  if (trace.wants_timing) head.headers.Add("Server-Timing", ServerTiming(trace));
}

std::string AccessLine(const AccessRecord& record) {
  const RequestTrace& request = record.request;
  const std::string line =
      request.method.empty()
          ? "-"
          : fmt::format("{} {} HTTP/1.{}", request.method, request.target, request.minor_version);
  const auto ms = std::chrono::duration_cast<std::chrono::milliseconds>(record.time).count();
  return fmt::format("{} \"{}\" {} {}", record.client, line, request.status, ms);
}

}  // namespace dray::http
