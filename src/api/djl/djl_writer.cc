// Field names and their order are DJLServing's; clients know them.
#include "api/djl/djl_writer.h"

#include <algorithm>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "api/djl/djl_errors.h"
#include "base/parse/json.h"

namespace dray::api {
namespace {

using serving::TextToken;
using settings::OutputFormat;

Json TokenJson(int32_t id, std::string_view text, std::optional<float> logprob) {
  return Json::MakeObject({{"id", static_cast<int64_t>(id)},
                           {"text", text},
                           {"log_prob", logprob ? Json(*logprob) : Json()}});
}

Json TokenJson(const TextToken& token) {
  Json json = TokenJson(token.id, token.text, token.logprob);
  if (token.special) json.Set("special_token", true);
  return json;
}

Json TokensJson(const std::vector<TextToken>& tokens) {
  Json array = Json::MakeArray();
  for (const TextToken& token : tokens) array.Append(TokenJson(token));
  return array;
}

Json TopTokensJson(const std::vector<TextToken>& tokens, int64_t top_n_tokens) {
  Json array = Json::MakeArray();
  for (const TextToken& token : tokens) {
    Json tops = Json::MakeArray();
    const size_t count = std::min(token.tops.size(), static_cast<size_t>(top_n_tokens));
    for (size_t i = 0; i < count; ++i) {
      const auto& [top, text] = token.tops[i];
      tops.Append(TokenJson(top.id, text, top.logprob));
    }
    array.Append(std::move(tops));
  }
  return array;
}

std::string GeneratedText(const InputResult& result, const SequenceResult& sequence,
                          const GenerateCall& call) {
  return call.return_full_text ? result.input + sequence.text : sequence.text;
}

// DJLServing knows one reason for everything that a request stops at.
std::string_view ReasonName(sampling::FinishReason reason) {
  switch (reason) {
    case sampling::FinishReason::kLength:
      return "length";
    case sampling::FinishReason::kEosToken:
      return "eos_token";
    case sampling::FinishReason::kStopToken:
    case sampling::FinishReason::kStopString:
      break;
  }
  return "stop_sequence";
}

enum class ListTokens { kYes, kNo };

void AddDetails(Json& details, const InputResult& result, const SequenceResult& sequence,
                const GenerateCall& call, ListTokens list_tokens) {
  details.Set("finish_reason",
              sequence.finish ? Json(ReasonName(*sequence.finish)) : Json("error"));
  details.Set("generated_tokens", sequence.num_tokens);
  if (details.Find("inputs") == nullptr) details.Set("inputs", result.input);
  if (list_tokens == ListTokens::kYes) details.Set("tokens", TokensJson(sequence.tokens));
  if (call.decoder_input_details) details.Set("prefill", TokensJson(result.prompt));
  if (call.top_n_tokens > 0) {
    details.Set("top_tokens", TopTokensJson(sequence.tokens, call.top_n_tokens));
  }
  if (result.seed) details.Set("seed", *result.seed);
}

// {"generated_text": ..., "details": ...?}: an input's whole answer.
Json FormatResult(const InputResult& result, const GenerateCall& call) {
  const auto ranked = RankSequences(result);
  const SequenceResult& best = *ranked.front();
  Json json = Json::MakeObject({{"generated_text", GeneratedText(result, best, call)}});
  const bool several = call.request.params.n > 1;
  if (!call.details && !several) return json;
  Json details = Json::MakeObject();
  AddDetails(details, result, best, call, ListTokens::kYes);
  if (call.num_returned > 1) {
    Json others = Json::MakeArray();
    for (int64_t i = 1; i < call.num_returned; ++i) {
      const SequenceResult& sequence = *ranked.at(static_cast<size_t>(i));
      Json other = Json::MakeObject();
      AddDetails(other, result, sequence, call, ListTokens::kYes);
      other.Set("generated_text", GeneratedText(result, sequence, call));
      others.Append(std::move(other));
    }
    details.Set("best_of_sequences", std::move(others));
  }
  json.Set("details", std::move(details));
  return json;
}

// {"token": {...}}: one token of a stream; the last one with "generated_text" and, if asked for,
// "details".
Json FormatToken(const TextToken& token) { return Json::MakeObject({{"token", TokenJson(token)}}); }

Json FormatLastToken(const TextToken& token, const InputResult& result, const GenerateCall& call) {
  Json json = FormatToken(token);
  const SequenceResult& sequence = result.sequences.front();
  json.Set("generated_text", GeneratedText(result, sequence, call));
  if (!call.details) return json;
  Json details = Json::MakeObject();
  AddDetails(details, result, sequence, call, ListTokens::kNo);
  json.Set("details", std::move(details));
  return json;
}

// The last line of a stream that broke off.
Json FormatStreamError(int code, std::string_view message, const InputResult& result,
                       const GenerateCall& call) {
  const Json token = Json::MakeObject({{"id", -1},
                                       {"text", ""},
                                       {"log_prob", -1},
                                       {"special_token", true},
                                       {"error_msg", message}});
  const SequenceResult& sequence = result.sequences.front();
  Json details = Json::MakeObject();
  if (call.details) {
    AddDetails(details, result, sequence, call, ListTokens::kNo);
  } else {
    details.Set("finish_reason", "error");
  }
  return Json::MakeObject({{"token", token},
                           {"generated_text", GeneratedText(result, sequence, call)},
                           {"details", std::move(details)},
                           {"code", code},
                           {"error", message}});
}

// The line as it goes out: with a line feed, or as a server-sent event.
std::string FrameLine(const Json& line, OutputFormat format) {
  if (format == OutputFormat::kServerSentEvents) return "data: " + line.Dump() + "\n\n";
  return line.Dump() + "\n";
}

std::string_view ContentType(OutputFormat format) {
  switch (format) {
    case OutputFormat::kJsonLines:
      return "application/jsonlines";
    case OutputFormat::kServerSentEvents:
      return "text/event-stream";
    case OutputFormat::kByRequest:
    case OutputFormat::kJson:
      break;
  }
  return "application/json";
}

class DjlWriter final : public ReplyWriter {
 public:
  explicit DjlWriter(OutputFormat format) : format_(format) {}

  http::Response Whole(const GenerateCall& call, std::span<const InputResult> results) override {
    http::Response response;
    response.head = StreamHead();
    if (call.shape == InputShape::kOne) {
      response.body = FormatResult(results.front(), call).Dump();
    } else {
      Json list = Json::MakeArray();
      for (const InputResult& result : results) list.Append(FormatResult(result, call));
      response.body = list.Dump();
    }
    return response;
  }

  http::Response Failure(const serving::Reason& reason) override {
    return ToResponse(MakeDjlError(reason));
  }

  http::ResponseHead StreamHead() override {
    http::ResponseHead head;
    head.headers.Add("Content-Type", std::string(ContentType(format_)));
    return head;
  }

  std::string StreamTokens(const GenerateCall& call, const serving::SequenceTextEvent& event,
                           const InputResult& result) override {
    std::string lines;
    for (size_t i = 0; i < event.tokens.size(); ++i) {
      const bool last = event.finish && i + 1 == event.tokens.size();
      const Json line =
          last ? FormatLastToken(event.tokens[i], result, call) : FormatToken(event.tokens[i]);
      lines += FrameLine(line, format_);
    }
    return lines;
  }

  std::string StreamFailure(const GenerateCall& call, const serving::Reason& reason,
                            const InputResult& result) override {
    const DjlError error = MakeDjlError(reason);
    return FrameLine(FormatStreamError(error.status, error.message, result, call), format_);
  }

  bool ShowsTokens(const GenerateCall& call) const override {
    if (format_ != OutputFormat::kJson) return call.details && call.top_n_tokens > 0;
    return call.details || call.request.params.n > 1;
  }

 private:
  const OutputFormat format_;
};

}  // namespace

std::unique_ptr<ReplyWriter> MakeDjlWriter(OutputFormat format) {
  return std::make_unique<DjlWriter>(format);
}

}  // namespace dray::api
