#include <utility>

#include "api/djl/writers/handler_writer.h"
#include "api/djl/writers/writers.h"

namespace dray::api {
namespace {

class PlainTextWriter final : public HandlerWriter {
 public:
  using HandlerWriter::HandlerWriter;

  // Several answers follow each other, each on a line of its own.
  http::Response Whole(const GenerateCall& call, std::span<const InputResult> results) override {
    std::string body;
    for (const InputResult& result : results) {
      if (!body.empty()) body += '\n';
      body += AnswerText(result, *RankSequences(result).front(), call);
    }
    return MakeResponse(std::move(body));
  }

  std::string StreamTokens(const GenerateCall&, const StreamedTokens& tokens) override {
    std::string text;
    for (const serving::TextToken& token : tokens.event.tokens) text += token.text;
    return text;
  }

  std::optional<std::string> StreamFailure(const GenerateCall&, const serving::Reason&,
                                           const InputResult&) override {
    return std::nullopt;
  }

  bool ShowsTokens(const GenerateCall&) const override { return false; }
};

}  // namespace

std::unique_ptr<ReplyWriter> MakePlainTextWriter(const DjlWriterOptions& options) {
  return std::make_unique<PlainTextWriter>(options);
}

}  // namespace dray::api
