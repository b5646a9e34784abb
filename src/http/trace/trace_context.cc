#include "http/trace/trace_context.h"

#include <fmt/format.h>

#include <algorithm>
#include <cstdint>
#include <random>

namespace dray::http {
namespace {

// Where the parts of "00-<32 digits>-<16 digits>-<2 digits>" begin.
constexpr size_t kTraceBegin = 3;
constexpr size_t kTraceDigits = 32;
constexpr size_t kParentBegin = 36;
constexpr size_t kParentDigits = 16;
constexpr size_t kFlagsBegin = 53;
constexpr size_t kSize = 55;

bool IsLowerHex(std::string_view text) {
  return std::all_of(text.begin(), text.end(),
                     [](char c) { return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'f'); });
}

bool IsZero(std::string_view text) { return text.find_first_not_of('0') == std::string_view::npos; }

std::string NewSpanId() {
  thread_local std::mt19937_64 random{std::random_device{}()};
  uint64_t id = 0;
  while (id == 0) id = random();
  return fmt::format("{:016x}", id);
}

}  // namespace

std::optional<TraceContext> ContinueTrace(std::string_view traceparent) {
  if (traceparent.size() < kSize) return std::nullopt;
  const std::string_view version = traceparent.substr(0, 2);
  const std::string_view trace = traceparent.substr(kTraceBegin, kTraceDigits);
  const std::string_view parent = traceparent.substr(kParentBegin, kParentDigits);
  const std::string_view flags = traceparent.substr(kFlagsBegin, 2);
  const bool has_dashes = traceparent[kTraceBegin - 1] == '-' &&
                          traceparent[kParentBegin - 1] == '-' &&
                          traceparent[kFlagsBegin - 1] == '-';
  // Later versions may have more behind these parts.
  const bool ends_well =
      traceparent.size() == kSize || (version != "00" && traceparent[kSize] == '-');
  if (!has_dashes || !ends_well || version == "ff") return std::nullopt;
  for (const std::string_view part : {version, trace, parent, flags}) {
    if (!IsLowerHex(part)) return std::nullopt;
  }
  if (IsZero(trace) || IsZero(parent)) return std::nullopt;
  return TraceContext{
      .trace_id = std::string(trace), .span_id = NewSpanId(), .flags = std::string(flags)};
}

std::string TraceParent(const TraceContext& context) {
  return fmt::format("00-{}-{}-{}", context.trace_id, context.span_id, context.flags);
}

}  // namespace dray::http
