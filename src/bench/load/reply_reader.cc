#include "bench/load/reply_reader.h"

#include <fmt/format.h>

namespace dray::bench {
namespace {

// No answer's line of text comes near this size. A server that sends a longer one is at fault.
constexpr size_t kMaxPending = size_t{64} << 20;

std::string_view Trim(std::string_view text) {
  const size_t begin = text.find_first_not_of(" \t\r");
  if (begin == std::string_view::npos) return {};
  return text.substr(begin, text.find_last_not_of(" \t\r") - begin + 1);
}

}  // namespace

Status ReplyReader::Feed(std::string_view bytes, double seconds) {
  pending_.append(bytes);
  if (pending_.size() > kMaxPending) {
    return {StatusCode::kResourceExhausted,
            fmt::format("more than {} MiB without an end of line", kMaxPending >> 20)};
  }
  if (delivery_ == Delivery::kWhole) return OkStatus();
  size_t begin = 0;
  for (size_t end = pending_.find('\n'); end != std::string::npos;
       end = pending_.find('\n', begin)) {
    DRAY_RETURN_IF_ERROR(TakeLine(std::string_view(pending_).substr(begin, end - begin), seconds));
    begin = end + 1;
  }
  pending_.erase(0, begin);
  return OkStatus();
}

Status ReplyReader::Finish(double seconds) {
  if (delivery_ == Delivery::kWhole) {
    DRAY_RETURN_IF_ERROR(TakeJson(pending_, seconds));
    if (token_times_.empty() && num_tokens() > 0) token_times_.push_back(seconds);
  } else {
    DRAY_RETURN_IF_ERROR(TakeLine(pending_, seconds));
  }
  pending_.clear();
  if (token_times_.empty()) return {StatusCode::kCorrupt, "an answer without a token"};
  return OkStatus();
}

int64_t ReplyReader::num_tokens() const { return completion_tokens_.value_or(counted_); }

// Skips comments (": ...") and other fields of server-sent events.
Status ReplyReader::TakeLine(std::string_view line, double seconds) {
  line = Trim(line);
  if (line.starts_with("data:")) {
    line = Trim(line.substr(5));
    if (line == "[DONE]") return OkStatus();
  } else if (!line.starts_with('{') && !line.starts_with('[')) {
    return OkStatus();
  }
  return line.empty() ? OkStatus() : TakeJson(line, seconds);
}

Status ReplyReader::TakeJson(std::string_view text, double seconds) {
  const auto json = Json::Parse(text);
  if (!json.ok()) return json.status().WithPrefix("an answer that is no JSON");
  DRAY_ASSIGN_OR_RETURN(const ReplyEvent event, ReadEvent(api_, *json));
  if (event.error) return {StatusCode::kUnavailable, *event.error};
  if (event.completion_tokens) completion_tokens_ = event.completion_tokens;
  if (event.prompt_tokens) prompt_tokens_ = event.prompt_tokens;
  if (event.tokens > 0) {
    token_times_.push_back(seconds);
    counted_ += event.tokens;
  }
  return OkStatus();
}

}  // namespace dray::bench
