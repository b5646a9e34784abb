// How an answer is written, as settings and requests name it.
#pragma once

#include <optional>
#include <string_view>

namespace dray::settings {

enum class OutputFormat {
  kByRequest,  // a streamed answer as lines, any other answer as one JSON value
  kJson,
  kJsonLines,
  kServerSentEvents,
};

// "json", "jsonlines" or "sse"; nothing for other text.
std::optional<OutputFormat> ParseOutputFormat(std::string_view text);

}  // namespace dray::settings
