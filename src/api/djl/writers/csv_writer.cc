// Whole answers as text/csv, as DJLServing's handlers of batches write them: the column generated_text, lines that end
// with CRLF, and quotation marks around the cells that need them (RFC 4180).
#include <algorithm>
#include <string_view>
#include <utility>

#include "api/djl/writers/handler_writer.h"
#include "api/djl/writers/writers.h"

namespace dray::api {
namespace {

constexpr std::string_view kLineEnd = "\r\n";

void AppendCell(std::string& out, std::string_view text) {
  // The line of an empty cell would be an empty line, which is no row.
  if (!text.empty() && text.find_first_of(",\"\r\n") == std::string_view::npos) {
    out += text;
    return;
  }
  out += '"';
  for (const char c : text) {
    if (c == '"') out += '"';
    out += c;
  }
  out += '"';
}

class CsvWriter final : public HandlerWriter {
 public:
  using HandlerWriter::HandlerWriter;

  http::Response Whole(const GenerateCall& call, std::span<const InputResult> results) override {
    std::string body = "generated_text";
    body += kLineEnd;
    for (const InputResult& result : results) {
      const auto ranked = RankSequences(result);
      const auto count = std::min(static_cast<size_t>(call.num_returned), ranked.size());
      for (size_t i = 0; i < count; ++i) {
        AppendCell(body, AnswerText(result, *ranked[i], call));
        body += kLineEnd;
      }
    }
    return MakeResponse(std::move(body));
  }

  // The format is of whole answers only (settings::IsStreamed).
  std::string StreamTokens(const GenerateCall&, const StreamedTokens&) override { return ""; }
  std::optional<std::string> StreamFailure(const GenerateCall&, const serving::Reason&,
                                           const InputResult&) override {
    return std::nullopt;
  }

  bool ShowsTokens(const GenerateCall&) const override { return false; }
};

}  // namespace

std::unique_ptr<ReplyWriter> MakeCsvWriter(const DjlWriterOptions& options) {
  return std::make_unique<CsvWriter>(options);
}

}  // namespace dray::api
