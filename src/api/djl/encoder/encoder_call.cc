#include "api/djl/encoder/encoder_call.h"

#include <fmt/format.h>

#include <algorithm>
#include <limits>
#include <utility>

#include "api/djl/djl_answers.h"
#include "api/encoder/encode_body.h"
#include "api/encoder/encode_reply.h"
#include "api/encoder/numbers.h"
#include "http/encoding/form.h"
#include "serving/encoder/encoder_service.h"

namespace dray::api {
namespace {

using engine::ClassScores;
using engine::EncodeOutput;
using serving::EncodeAnswer;
using serving::InputText;
using serving::TooLong;

Status Invalid(std::string message) { return {StatusCode::kInvalidArgument, std::move(message)}; }

// What happens to long texts if the request does not say it.
TooLong DefaultFor(EncodeOutput output) {
  return output == EncodeOutput::kVector ? TooLong::kTruncate : TooLong::kRefuse;
}

Result<InputText> ReadInput(Json& value, EncodeOutput output) {
  InputText input;
  if (output != EncodeOutput::kClasses || !value.is_object()) {
    DRAY_RETURN_IF_ERROR(ReadText("inputs", value, EmptyText::kAllow, input.text));
    return input;
  }
  DRAY_ASSIGN_OR_RETURN(Json * text, RequireMember(value, "text"));
  DRAY_RETURN_IF_ERROR(ReadText("text", *text, EmptyText::kAllow, input.text));
  if (value.Find("text_pair") == nullptr) return input;
  DRAY_ASSIGN_OR_RETURN(Json * second, RequireMember(value, "text_pair"));
  DRAY_RETURN_IF_ERROR(ReadText("text_pair", *second, EmptyText::kAllow, input.second.emplace()));
  return input;
}

Status ReadInputs(Json& value, DjlEncodeCall& call) {
  Json::Array* const list = value.AsArray();
  call.is_one = list == nullptr;
  if (list != nullptr && (list->empty() || list->size() > kMaxTexts)) {
    return Invalid(fmt::format("\"inputs\" has {} texts; send 1 to {}", list->size(), kMaxTexts));
  }
  Json::Array single;
  if (list == nullptr) single.push_back(std::move(value));
  for (Json& one : list == nullptr ? single : *list) {
    DRAY_ASSIGN_OR_RETURN(InputText input, ReadInput(one, call.encode.output));
    call.encode.inputs.emplace_back(std::move(input));
  }
  return OkStatus();
}

Status ReadClassParameters(const Json& parameters, DjlEncodeCall& call) {
  if (const Json* top_k = parameters.Find("top_k")) {
    constexpr int64_t kAll = std::numeric_limits<int64_t>::max();
    call.top_k = top_k->is_null() ? kAll : top_k->AsInt64();
    if (!call.top_k || *call.top_k < 1) return Invalid("\"top_k\" must be null or 1 or more");
  }
  const Json* const function = parameters.Find("function_to_apply");
  if (function == nullptr || function->is_null()) return OkStatus();
  const std::string* const name = function->AsString();
  if (name != nullptr && *name == "softmax") call.scores = ClassScores::kSoftmax;
  if (name != nullptr && *name == "sigmoid") call.scores = ClassScores::kSigmoid;
  if (name != nullptr && *name == "none") call.scores = ClassScores::kNone;
  if (call.scores) return OkStatus();
  return Invalid("\"function_to_apply\" must be softmax, sigmoid or none");
}

// Text embeddings are cut at the model's limit, as sentence-transformers does. A pipeline cuts texts
// only if it is told to.
Status ReadParameters(const Json& parameters, DjlEncodeCall& call) {
  if (!parameters.is_object()) return Invalid("\"parameters\" must be a JSON object");
  const bool is_vector = call.encode.output == EncodeOutput::kVector;
  for (const auto& [name, value] : *parameters.AsObject()) {
    const bool is_known = name == "truncation" || name == "truncate" ||
                          (call.encode.output == EncodeOutput::kClasses &&
                           (name == "top_k" || name == "function_to_apply"));
    if (!is_known) {
      return Invalid(fmt::format("parameter \"{}\" means nothing to this model, an encoder",
                                 name.substr(0, 100)));
    }
  }
  for (const std::string_view name : {"truncation", "truncate"}) {
    DRAY_ASSIGN_OR_RETURN(const bool cut, ReadFlag(parameters, name, is_vector));
    if (cut != is_vector) call.encode.too_long = cut ? TooLong::kTruncate : TooLong::kRefuse;
  }
  return ReadClassParameters(parameters, call);
}

void WriteClasses(const DjlEncodeCall& call, const std::vector<float>& outputs,
                  const engine::ClassifierConfig& classifier, std::string& out) {
  const std::vector<float> scores = ToScores(outputs, call.scores.value_or(classifier.scores));
  const std::vector<LabelScore> sorted = SortedByScore(scores);
  const auto write = [&](const LabelScore& one) {
    out += Json::MakeObject({{"label", classifier.labels[one.label_idx]}, {"score", one.score}})
               .Dump();
  };
  if (!call.top_k) return write(sorted.front());
  const auto count = std::min(static_cast<size_t>(*call.top_k), sorted.size());
  out += '[';
  for (size_t i = 0; i < count; ++i) {
    if (i > 0) out += ',';
    write(sorted[i]);
  }
  out += ']';
}

}  // namespace

Result<DjlEncodeCall> ReadDjlEncodeCall(std::string_view body, EncodeOutput output) {
  DRAY_ASSIGN_OR_RETURN(Json json, ParseEncodeBody(body));
  DjlEncodeCall call;
  call.encode.output = output;
  call.encode.too_long = DefaultFor(output);
  DRAY_ASSIGN_OR_RETURN(Json * inputs, RequireMember(json, "inputs"));
  DRAY_RETURN_IF_ERROR(ReadInputs(*inputs, call));
  const Json* const parameters = json.Find("parameters");
  if (parameters != nullptr && !parameters->is_null()) {
    DRAY_RETURN_IF_ERROR(ReadParameters(*parameters, call));
  }
  return call;
}

std::string WriteDjlEncodeAnswer(const DjlEncodeCall& call, const EncodeAnswer& answer,
                                 const EncoderFacts& model) {
  const bool is_classes = call.encode.output == EncodeOutput::kClasses;
  // A pipeline gives the one class of one text in a list, and all classes without a further one.
  const bool is_listed = !call.is_one || (is_classes && !call.top_k);
  std::string out = is_listed ? "[" : "";
  for (size_t i = 0; i < answer.numbers.size(); ++i) {
    if (i > 0) out += ',';
    const std::vector<float>& numbers = answer.numbers[i];
    switch (call.encode.output) {
      case EncodeOutput::kVector:
        AppendNumbers(numbers, out);
        break;
      case EncodeOutput::kClasses:
        WriteClasses(call, numbers, *model.classifier, out);
        break;
      case EncodeOutput::kStates:
        // A pipeline's tensor has an axis for the one text.
        out += '[';
        AppendRows(numbers, model.hidden, out);
        out += ']';
        break;
    }
  }
  return is_listed ? out + "]" : out;
}

void PredictWithEncoder(http::Request& request, const http::ResponderPtr& responder,
                        serving::ServedModel& model, const DjlEncodeState& state) {
  const serving::EncoderService& encoder = *model.encoder();
  const std::string* const type = request.headers.Find("Content-Type");
  const std::string_view media = type == nullptr ? "" : http::MediaType(*type);
  const bool is_text = http::EqualsIgnoreCase(media, "text/plain");
  if (!is_text && !media.empty() && !http::EqualsIgnoreCase(media, "application/json")) {
    return SendDjlError(responder,
                        {415, "BadRequestException",
                         fmt::format("Content-Type \"{}\" is not accepted by an encoder; send "
                                     "application/json or text/plain",
                                     media.substr(0, 100))});
  }
  DjlEncodeCall call;
  if (is_text) {
    call.is_one = true;
    call.encode.output = encoder.default_output();
    call.encode.too_long = DefaultFor(call.encode.output);
    call.encode.inputs.emplace_back(InputText{.text = std::move(request.body)});
  } else {
    auto read = ReadDjlEncodeCall(request.body, encoder.default_output());
    if (!read.ok()) {
      request.DropBody();
      return responder->Send(state.errors->Answer(read.status()));
    }
    call = std::move(*read);
  }
  const EncoderFacts facts = {.hidden = encoder.limits().hidden,
                              .classifier = encoder.classifier()};
  const serving::EncodeCall encode = std::exchange(call.encode, {});
  call.encode.output = encode.output;
  StartEncoding({.responder = responder,
                 .tasks = state.tasks,
                 // The model is there as long as its requests are.
                 .write =
                     [call, facts](const EncodeAnswer& answer) {
                       return JsonAnswer(WriteDjlEncodeAnswer(call, answer, facts));
                     },
                 .refuse = [errors = state.errors](
                               const serving::Reason& reason) { return errors->Answer(reason); },
                 .lease = request.DropBody()},
                encode, model);
}

}  // namespace dray::api
