#include <utility>

#include "api/djl/errors/djl_errors.h"
#include "api/djl/writers/handler_writer.h"
#include "api/djl/writers/writers.h"

namespace dray::api {
namespace {

class ThirdPartyWriter final : public HandlerWriter {
 public:
  using HandlerWriter::HandlerWriter;

  http::Response Whole(const GenerateCall& call, std::span<const InputResult> results) override {
    if (call.shape == InputShape::kOne) return MakeResponse(Answer(results.front(), call).Dump());
    Json list = Json::MakeArray();
    for (const InputResult& result : results) list.Append(Answer(result, call));
    return MakeResponse(list.Dump());
  }

  std::string StreamTokens(const GenerateCall&, const StreamedTokens& tokens) override {
    // The event's tokens are counted in the result already.
    const SequenceResult& sequence = tokens.result.sequences.front();
    int64_t count = sequence.num_tokens - static_cast<int64_t>(tokens.event.tokens.size());
    std::string lines;
    for (size_t i = 0; i < tokens.event.tokens.size(); ++i) {
      const bool last = tokens.event.finish && i + 1 == tokens.event.tokens.size();
      const bool first = std::exchange(is_first_, false);
      const Json num_prompt = first ? Json(tokens.result.num_prompt_tokens) : Json();
      ++count;
      Json metering = Json::MakeObject({{"outputTokenCount", count}});
      if (first) metering.Set("inputTokenCount", tokens.result.num_prompt_tokens);
      lines += FrameLine(
          Json::MakeObject(
              {{"body",
                Json::MakeObject({{"generation", tokens.event.tokens[i].text},
                                  {"prompt_token_count", num_prompt},
                                  {"generation_token_count", count},
                                  {"stop_reason", last ? Json(FinishName(sequence)) : Json()}})},
               {"metering", std::move(metering)},
               {"content_type", "application/jsonlines"}})
              .Dump());
    }
    return lines;
  }

  std::optional<std::string> StreamFailure(const GenerateCall&, const serving::Reason& reason,
                                           const InputResult& result) override {
    const DjlError error = MakeDjlError(reason);
    const int64_t count = result.sequences.front().num_tokens;
    return FrameLine(
        Json::MakeObject({{"body", Json::MakeObject({{"generation", ""},
                                                     {"prompt_token_count", Json()},
                                                     {"generation_token_count", count},
                                                     {"stop_reason", "error"}})},
                          {"metering", Json::MakeObject({{"outputTokenCount", count}})},
                          {"content_type", "application/jsonlines"},
                          {"error", Json::MakeObject({{"error_code", error.status},
                                                      {"error_msg", error.message}})}})
            .Dump());
  }

  bool ShowsTokens(const GenerateCall&) const override { return false; }

 private:
  static Json Answer(const InputResult& result, const GenerateCall& call) {
    const SequenceResult& best = *RankSequences(result).front();
    return Json::MakeObject(
        {{"body", Json::MakeObject({{"generation", AnswerText(result, best, call)},
                                    {"prompt_token_count", result.num_prompt_tokens},
                                    {"generation_token_count", best.num_tokens},
                                    {"stop_reason", FinishName(best)}})},
         {"metering", Json::MakeObject({{"inputTokenCount", result.num_prompt_tokens},
                                        {"outputTokenCount", best.num_tokens}})},
         {"content_type", "application/json"}});
  }

  bool is_first_ = true;
};

}  // namespace

std::unique_ptr<ReplyWriter> MakeThirdPartyWriter(const DjlWriterOptions& options) {
  return std::make_unique<ThirdPartyWriter>(options);
}

}  // namespace dray::api
