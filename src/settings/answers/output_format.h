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
  kThirdParty,       // Bedrock's: "body", "metering" and "content_type"
  kThirdPartyLines,  // the same for each token of a stream
  kPlainText,        // the text alone, streamed or not
  kCsv,              // a table with a row for each text; chosen by a request's Accept alone
};

// The values that ParseOutputFormat knows, for messages and documentation.
inline constexpr std::string_view kOutputFormats = "json, jsonlines, sse, 3p, 3p_stream, none";

// One of kOutputFormats; nothing for other text.
std::optional<OutputFormat> ParseOutputFormat(std::string_view text);

// Whether each token is sent as it comes. kByRequest and kPlainText leave it to the request.
std::optional<bool> IsStreamed(OutputFormat format);

}  // namespace dray::settings
