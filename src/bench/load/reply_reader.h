// The bytes of an answer, as they come, to the times of its tokens: server-sent events, JSON lines,
// or one JSON document.
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

  // More of the body, which came at `seconds`. Errors: no JSON, another API's shape, an event that
  // says that generation failed, a line beyond all measure.
  Status Feed(std::string_view bytes, double seconds);
  // The body is whole. kCorrupt if there is no token in it.
  Status Finish(double seconds);

  // Of events with text, ascending; an answer in one piece has one.
  const std::vector<double>& token_times() const { return token_times_; }
  // As the server counts them, else the events with text.
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
