#include "api/tei/tei_calls.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <utility>

#include "api/encoder/encode_body.h"
#include "api/encoder/numbers.h"

namespace dray::api {
namespace {

using engine::EncodeOutput;
using serving::EncodeAnswer;
using serving::InputText;
using serving::TooLong;

Status Invalid(std::string message) { return {StatusCode::kInvalidArgument, std::move(message)}; }

// What every request may say.
Status ReadCommon(const Json& body, TeiCall& call) {
  DRAY_ASSIGN_OR_RETURN(const bool truncate, ReadFlag(body, "truncate", false));
  call.encode.too_long = truncate ? TooLong::kTruncate : TooLong::kRefuse;
  const Json* const side = body.Find("truncation_direction");
  if (side == nullptr || side->is_null()) return OkStatus();
  const std::string* const name = side->AsString();
  if (name != nullptr && (*name == "Right" || *name == "right")) return OkStatus();
  return Invalid("\"truncation_direction\" must be Right: texts are cut at their end");
}

// One to two strings: a text, or a pair.
Result<InputText> ReadSequence(Json::Array& list) {
  InputText input;
  if (list.empty() || list.size() > 2) {
    return Invalid("an entry of \"inputs\" must be a list of one string, or of two for a pair");
  }
  DRAY_RETURN_IF_ERROR(ReadText("inputs", list[0], EmptyText::kRefuse, input.text));
  if (list.size() == 2) {
    input.second.emplace();
    DRAY_RETURN_IF_ERROR(ReadText("inputs", list[1], EmptyText::kRefuse, *input.second));
  }
  return input;
}

// A string, a pair of strings, or a list of lists of one or two strings.
Status ReadSequences(Json& value, TeiCall& call) {
  Json::Array* const list = value.AsArray();
  call.is_one = list == nullptr || list->empty() || !list->front().is_array();
  if (list == nullptr) return ReadTexts("inputs", value, EmptyText::kRefuse, call.encode.inputs);
  if (call.is_one) {
    DRAY_ASSIGN_OR_RETURN(InputText input, ReadSequence(*list));
    call.encode.inputs.emplace_back(std::move(input));
    return OkStatus();
  }
  if (list->size() > kMaxTexts) {
    return Invalid(fmt::format("\"inputs\" has {} texts; send 1 to {}", list->size(), kMaxTexts));
  }
  for (Json& one : *list) {
    Json::Array* const sequence = one.AsArray();
    if (sequence == nullptr) return Invalid("\"inputs\" must be a list of lists of strings");
    DRAY_ASSIGN_OR_RETURN(InputText input, ReadSequence(*sequence));
    call.encode.inputs.emplace_back(std::move(input));
  }
  return OkStatus();
}

std::vector<float> Normalized(const std::vector<float>& vector) {
  double squares = 0;
  for (const float x : vector) squares += double{x} * double{x};
  const double length = std::max(std::sqrt(squares), 1e-12);
  std::vector<float> out;
  out.reserve(vector.size());
  for (const float x : vector) out.push_back(static_cast<float>(double{x} / length));
  return out;
}

}  // namespace

Result<TeiCall> ReadEmbed(std::string_view text) {
  DRAY_ASSIGN_OR_RETURN(Json body, ParseEncodeBody(text));
  TeiCall call;
  DRAY_RETURN_IF_ERROR(ReadCommon(body, call));
  DRAY_ASSIGN_OR_RETURN(call.normalize, ReadFlag(body, "normalize", true));
  DRAY_ASSIGN_OR_RETURN(Json * inputs, RequireMember(body, "inputs"));
  DRAY_RETURN_IF_ERROR(ReadTexts("inputs", *inputs, EmptyText::kRefuse, call.encode.inputs));
  return call;
}

Result<TeiCall> ReadPredict(std::string_view text) {
  DRAY_ASSIGN_OR_RETURN(Json body, ParseEncodeBody(text));
  TeiCall call;
  call.encode.output = EncodeOutput::kClasses;
  DRAY_RETURN_IF_ERROR(ReadCommon(body, call));
  DRAY_ASSIGN_OR_RETURN(call.raw_scores, ReadFlag(body, "raw_scores", false));
  DRAY_ASSIGN_OR_RETURN(Json * inputs, RequireMember(body, "inputs"));
  DRAY_RETURN_IF_ERROR(ReadSequences(*inputs, call));
  return call;
}

Result<TeiCall> ReadRerank(std::string_view text) {
  DRAY_ASSIGN_OR_RETURN(Json body, ParseEncodeBody(text));
  TeiCall call;
  call.encode.output = EncodeOutput::kClasses;
  DRAY_RETURN_IF_ERROR(ReadCommon(body, call));
  DRAY_ASSIGN_OR_RETURN(call.raw_scores, ReadFlag(body, "raw_scores", false));
  DRAY_ASSIGN_OR_RETURN(const bool return_text, ReadFlag(body, "return_text", false));
  std::string query;
  DRAY_ASSIGN_OR_RETURN(Json * member, RequireMember(body, "query"));
  DRAY_RETURN_IF_ERROR(ReadText("query", *member, EmptyText::kRefuse, query));
  DRAY_ASSIGN_OR_RETURN(member, RequireMember(body, "texts"));
  if (!member->is_array()) return Invalid("\"texts\" must be a list of strings");
  DRAY_RETURN_IF_ERROR(ReadTexts("texts", *member, EmptyText::kRefuse, call.encode.inputs));
  for (serving::EncodeInput& input : call.encode.inputs) {
    auto& pair = std::get<InputText>(input);
    if (return_text) call.texts.push_back(pair.text);
    pair.second = std::exchange(pair.text, query);
  }
  return call;
}

std::string WriteEmbed(const TeiCall& call, const EncodeAnswer& answer) {
  std::string out = "[";
  for (const std::vector<float>& vector : answer.numbers) {
    if (out.size() > 1) out += ',';
    AppendNumbers(call.normalize ? Normalized(vector) : vector, out);
  }
  return out + "]";
}

std::string WritePredict(const TeiCall& call, const EncodeAnswer& answer,
                         const engine::ClassifierConfig& classifier) {
  const auto function = call.raw_scores                ? engine::ClassScores::kNone
                        : classifier.num_labels() == 1 ? engine::ClassScores::kSigmoid
                                                       : engine::ClassScores::kSoftmax;
  Json all = Json::MakeArray();
  for (const std::vector<float>& outputs : answer.numbers) {
    Json one = Json::MakeArray();
    for (const LabelScore& label : SortedByScore(ToScores(outputs, function))) {
      one.Append(Json::MakeObject(
          {{"score", label.score}, {"label", classifier.labels[label.label_idx]}}));
    }
    if (call.is_one) return one.Dump();
    all.Append(std::move(one));
  }
  return all.Dump();
}

std::string WriteRerank(const TeiCall& call, const EncodeAnswer& answer) {
  std::vector<float> scores;
  for (const std::vector<float>& outputs : answer.numbers) scores.push_back(outputs.front());
  if (!call.raw_scores) scores = ToScores(scores, engine::ClassScores::kSigmoid);
  Json ranks = Json::MakeArray();
  for (const LabelScore& rank : SortedByScore(scores)) {
    Json one = Json::MakeObject({{"index", static_cast<uint64_t>(rank.label_idx)}});
    if (!call.texts.empty()) one.Set("text", call.texts[rank.label_idx]);
    one.Set("score", rank.score);
    ranks.Append(std::move(one));
  }
  return ranks.Dump();
}

}  // namespace dray::api
