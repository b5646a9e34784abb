#include "settings/answers/output_format.h"

namespace dray::settings {

std::optional<OutputFormat> ParseOutputFormat(std::string_view text) {
  if (text == "json") return OutputFormat::kJson;
  if (text == "jsonlines") return OutputFormat::kJsonLines;
  if (text == "sse") return OutputFormat::kServerSentEvents;
  if (text == "3p") return OutputFormat::kThirdParty;
  if (text == "3p_stream") return OutputFormat::kThirdPartyLines;
  if (text == "none") return OutputFormat::kPlainText;
  return std::nullopt;
}

std::optional<bool> IsStreamed(OutputFormat format) {
  switch (format) {
    case OutputFormat::kJson:
    case OutputFormat::kThirdParty:
    case OutputFormat::kCsv:
      return false;
    case OutputFormat::kJsonLines:
    case OutputFormat::kServerSentEvents:
    case OutputFormat::kThirdPartyLines:
      return true;
    case OutputFormat::kByRequest:
    case OutputFormat::kPlainText:
      break;
  }
  return std::nullopt;
}

}  // namespace dray::settings
