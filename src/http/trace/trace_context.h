// W3C Trace Context: the names by which one request is followed through several servers.
#pragma once

#include <optional>
#include <string>
#include <string_view>

namespace dray::http {

struct TraceContext {
  // 32 hexadecimal digits, not all of them 0: the same in all servers.
  std::string trace_id;
  // 16 hexadecimal digits: this server's own part.
  std::string span_id;
  // 2 hexadecimal digits.
  std::string flags;
};

// The context that the header "traceparent" of a request carries, with a new part for this server. Nothing if the
// header's value is not one (W3C Trace Context, 3.2).
std::optional<TraceContext> ContinueTrace(std::string_view traceparent);

// The header's value that names this server's part.
std::string TraceParent(const TraceContext& context);

}  // namespace dray::http
