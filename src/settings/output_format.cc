#include "settings/output_format.h"

namespace dray::settings {

std::optional<OutputFormat> ParseOutputFormat(std::string_view text) {
  if (text == "json") return OutputFormat::kJson;
  if (text == "jsonlines") return OutputFormat::kJsonLines;
  if (text == "sse") return OutputFormat::kServerSentEvents;
  return std::nullopt;
}

}  // namespace dray::settings
