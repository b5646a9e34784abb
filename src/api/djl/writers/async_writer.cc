// Errors and finish reasons are those of the engine behind these handlers, vLLM.

#include "api/djl/djl_parameters.h"
#include "api/djl/errors/djl_errors.h"
#include "api/djl/writers/handler_writer.h"
#include "api/djl/writers/token_json.h"
#include "api/djl/writers/writers.h"

namespace dray::api {
namespace {

std::string_view VllmFinishName(const SequenceResult& sequence) {
  if (!sequence.finish) return "error";
  return *sequence.finish == sampling::FinishReason::kLength ? "length" : "stop";
}

constexpr TokenNames kNames{.logprob = "logprob", .special = ""};

Json SeedJson(const InputResult& result) {
  return result.seed ? Json(static_cast<int64_t>(*result.seed)) : Json();
}

class AsyncWriter final : public HandlerWriter {
 public:
  using HandlerWriter::HandlerWriter;

  http::Response Whole(const GenerateCall& call, std::span<const InputResult> results) override {
    if (call.shape == InputShape::kOne) {
      return MakeResponse(Answer(results.front(), call).Dump() + "\n");
    }
    Json list = Json::MakeArray();
    for (const InputResult& result : results) list.Append(Answer(result, call));
    return MakeResponse(list.Dump() + "\n");
  }

  std::optional<http::Response> RequestFailure(const serving::Reason& reason) override {
    const Status status = serving::ToStatus(reason, SpellDjlParameter);
    http::Response response = MakeResponse(
        Json::MakeObject({{"error", "Input parsing failed: " + status.message()}, {"code", 424}})
            .Dump() +
        "\n");
    response.head.status = 424;
    response.head.persistence = http::Persistence::kClose;
    return response;
  }

  std::string StreamTokens(const GenerateCall& call, const StreamedTokens& tokens) override {
    std::string lines;
    for (size_t i = 0; i < tokens.event.tokens.size(); ++i) {
      const bool last = tokens.event.finish && i + 1 == tokens.event.tokens.size();
      Json line =
          Json::MakeObject({{"index", 0}, {"token", TokenJson(tokens.event.tokens[i], kNames)}});
      line.Set(
          "generated_text",
          last ? Json(AnswerText(tokens.result, tokens.result.sequences.front(), call)) : Json());
      line.Set("details",
               last && call.details.value_or(false) ? StreamDetails(tokens.result) : Json());
      lines += FrameLine(line.Dump());
    }
    return lines;
  }

  std::optional<std::string> StreamFailure(const GenerateCall&, const serving::Reason& reason,
                                           const InputResult&) override {
    const DjlError error = MakeDjlError(reason);
    return FrameLine(Json::MakeObject({{"error", error.message}, {"code", error.status}}).Dump());
  }

  bool ShowsTokens(const GenerateCall& call) const override { return call.details.value_or(false); }

 private:
  static Json Answer(const InputResult& result, const GenerateCall& call) {
    const SequenceResult& best = *RankSequences(result).front();
    Json answer = Json::MakeObject({{"generated_text", AnswerText(result, best, call)}});
    if (!call.details.value_or(false)) return answer;
    answer.Set("details", Json::MakeObject({{"finish_reason", VllmFinishName(best)},
                                            {"generated_tokens", best.num_tokens},
                                            {"seed", SeedJson(result)},
                                            {"prefill", TokensJson(result.prompt, kNames)},
                                            {"tokens", TokensJson(best.tokens, kNames)}}));
    return answer;
  }

  static Json StreamDetails(const InputResult& result) {
    const SequenceResult& sequence = result.sequences.front();
    return Json::MakeObject({{"finish_reason", VllmFinishName(sequence)},
                             {"seed", SeedJson(result)},
                             {"generated_tokens", sequence.num_tokens},
                             {"input_length", result.num_prompt_tokens}});
  }
};

}  // namespace

std::unique_ptr<ReplyWriter> MakeAsyncWriter(const DjlWriterOptions& options) {
  return std::make_unique<AsyncWriter>(options);
}

}  // namespace dray::api
