// Field names and their order are DJLServing's; clients know them.
#include <algorithm>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "api/djl/errors/djl_errors.h"
#include "api/djl/writers/handler_writer.h"
#include "api/djl/writers/token_json.h"
#include "api/djl/writers/writers.h"

namespace dray::api {
namespace {

using serving::TextToken;
using settings::OutputFormat;

class TokenWriter final : public HandlerWriter {
 public:
  explicit TokenWriter(const DjlWriterOptions& options)
      : HandlerWriter(options), names_(this->options().tgi_compat ? kTgi : kDjl) {}

  http::Response Whole(const GenerateCall& call, std::span<const InputResult> results) override {
    // TGI's schema has a list around every answer.
    if (call.shape == InputShape::kOne && !options().tgi_compat) {
      return MakeResponse(Answer(results.front(), call).Dump());
    }
    Json list = Json::MakeArray();
    for (const InputResult& result : results) list.Append(Answer(result, call));
    return MakeResponse(list.Dump());
  }

  std::string StreamTokens(const GenerateCall& call, const StreamedTokens& tokens) override {
    std::string lines;
    for (size_t i = 0; i < tokens.event.tokens.size(); ++i) {
      const bool last = tokens.event.finish && i + 1 == tokens.event.tokens.size();
      Json line = Json::MakeObject({{"token", TokenJson(tokens.event.tokens[i], names_)}});
      if (last) AddEnd(line, tokens.result, call);
      lines += FrameLine(line.Dump());
    }
    return lines;
  }

  // A line with a token that is none.
  std::optional<std::string> StreamFailure(const GenerateCall& call, const serving::Reason& reason,
                                           const InputResult& result) override {
    const DjlError error = MakeDjlError(reason);
    const Json token = Json::MakeObject({{"id", -1},
                                         {"text", ""},
                                         {std::string(names_.logprob), -1},
                                         {std::string(names_.special), true},
                                         {"error_msg", error.message}});
    const SequenceResult& sequence = result.sequences.front();
    Json details = Json::MakeObject();
    if (ShowsDetails(call)) {
      AddDetails(details, result, sequence, call, ListTokens::kNo);
    } else {
      details.Set("finish_reason", "error");
    }
    return FrameLine(Json::MakeObject({{"token", token},
                                       {"generated_text", AnswerText(result, sequence, call)},
                                       {"details", std::move(details)},
                                       {"code", error.status},
                                       {"error", error.message}})
                         .Dump());
  }

  bool ShowsTokens(const GenerateCall& call) const override {
    if (options().format != OutputFormat::kJson) {
      return ShowsDetails(call) && call.top_n_tokens > 0;
    }
    return ShowsDetails(call) || call.request.params.n > 1;
  }

 private:
  static constexpr TokenNames kDjl{.logprob = "log_prob", .special = "special_token"};
  static constexpr TokenNames kTgi{.logprob = "logprob", .special = "special"};

  enum class ListTokens { kYes, kNo };

  // TGI's schema has details unless the request does not want them.
  bool ShowsDetails(const GenerateCall& call) const {
    return call.details.value_or(options().tgi_compat);
  }

  Json TopTokensJson(const std::vector<TextToken>& tokens, int64_t top_n_tokens) const {
    Json array = Json::MakeArray();
    for (const TextToken& token : tokens) {
      Json tops = Json::MakeArray();
      const size_t count = std::min(token.tops.size(), static_cast<size_t>(top_n_tokens));
      for (size_t i = 0; i < count; ++i) {
        const auto& [top, text] = token.tops[i];
        tops.Append(TokenJson(top.id, text, top.logprob, names_));
      }
      array.Append(std::move(tops));
    }
    return array;
  }

  void AddDetails(Json& details, const InputResult& result, const SequenceResult& sequence,
                  const GenerateCall& call, ListTokens list_tokens) const {
    details.Set("finish_reason", FinishName(sequence));
    details.Set("generated_tokens", sequence.num_tokens);
    if (details.Find("inputs") == nullptr) details.Set("inputs", result.input);
    if (list_tokens == ListTokens::kYes) details.Set("tokens", TokensJson(sequence.tokens, names_));
    if (call.decoder_input_details) details.Set("prefill", TokensJson(result.prompt, names_));
    if (call.top_n_tokens > 0) {
      details.Set("top_tokens", TopTokensJson(sequence.tokens, call.top_n_tokens));
    }
    if (sequence.beam_score) details.Set("sequence_score", *sequence.beam_score);
    if (result.seed) details.Set("seed", *result.seed);
  }

  // {"generated_text": ..., "details": ...?}: an input's whole answer.
  Json Answer(const InputResult& result, const GenerateCall& call) const {
    const auto ranked = RankSequences(result);
    const SequenceResult& best = *ranked.front();
    Json json = Json::MakeObject({{"generated_text", AnswerText(result, best, call)}});
    if (!ShowsDetails(call) && call.request.params.n == 1) return json;
    Json details = Json::MakeObject();
    AddDetails(details, result, best, call, ListTokens::kYes);
    if (call.num_returned > 1) {
      Json others = Json::MakeArray();
      for (int64_t i = 1; i < call.num_returned; ++i) {
        const SequenceResult& sequence = *ranked.at(static_cast<size_t>(i));
        Json other = Json::MakeObject();
        AddDetails(other, result, sequence, call, ListTokens::kYes);
        other.Set("generated_text", AnswerText(result, sequence, call));
        others.Append(std::move(other));
      }
      details.Set("best_of_sequences", std::move(others));
    }
    json.Set("details", std::move(details));
    return json;
  }

  // What only the last line of a stream has.
  void AddEnd(Json& line, const InputResult& result, const GenerateCall& call) const {
    const SequenceResult& sequence = result.sequences.front();
    line.Set("generated_text", AnswerText(result, sequence, call));
    if (!ShowsDetails(call)) return;
    Json details = Json::MakeObject();
    AddDetails(details, result, sequence, call, ListTokens::kNo);
    line.Set("details", std::move(details));
  }

  const TokenNames names_;
};

}  // namespace

std::unique_ptr<ReplyWriter> MakeTokenWriter(const DjlWriterOptions& options) {
  return std::make_unique<TokenWriter>(options);
}

}  // namespace dray::api
