// Reads an answer's bytes as they come and notes when each token came. The answer may be
// server-sent events, JSON lines, or one JSON document.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/status.h"
#include "bench/load/dialect.h"

namespace dray::bench {

class ReplyReader {
 public:
  ReplyReader(Api api, Delivery delivery) : api_(api), delivery_(delivery) {}

  // Takes more of the body, which came at `seconds`. Fails if it is not JSON, has another API's
  // shape, reports that generation failed, or has a line of more than 64 MiB.
  Status Feed(std::string_view bytes, double seconds);
  // Call this when the body is complete. kCorrupt if it has no token.
  Status Finish(double seconds);

  // The times of the events with text, ascending. An answer in one piece has one.
  const std::vector<double>& token_times() const { return token_times_; }
  // The number of tokens that the server reports, else the number of events with text.
  int64_t num_tokens() const;
  std::optional<int64_t> prompt_tokens() const { return prompt_tokens_; }

 private:
  Status TakeLine(std::string_view line, double seconds);
  Status TakeJson(std::string_view text, double seconds);

  Api api_;
  Delivery delivery_;
  std::string pending_;
  std::vector<double> token_times_;
  int64_t counted_ = 0;
  std::optional<int64_t> completion_tokens_;
  std::optional<int64_t> prompt_tokens_;
};

}  // namespace dray::bench
