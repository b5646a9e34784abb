// Null stands for an absent parameter, as in the clients that send every one.
#include "api/djl/djl_call.h"

#include <fmt/format.h>

#include <utility>

#include "api/djl/djl_body.h"
#include "api/djl/djl_csv.h"
#include "api/djl/djl_parameters.h"
#include "api/djl/transformers_call.h"
#include "api/parameters.h"
#include "base/parse/json.h"

namespace dray::api {
namespace {

Status UnknownField(std::string_view name) {
  if (name == "messages" || name == "prompt") {
    return InvalidBody(fmt::format(
        "field \"{}\" is of an API that is not in this build yet; send \"inputs\"", name));
  }
  return InvalidBody(fmt::format(
      "field \"{}\" is not known; the fields are inputs, parameters, stream", name.substr(0, 100)));
}

// One adapter, or one for each input, of which the first is enough: no adapter can be served. "" stands for none.
Status ReadAdapters(Json* adapters, GenerateCall& call) {
  if (adapters == nullptr) return OkStatus();
  if (std::string* const name = adapters->AsString()) {
    call.adapter = std::move(*name);
    return OkStatus();
  }
  Json::Array* const list = adapters->AsArray();
  if (list == nullptr) {
    return InvalidBody(fmt::format("\"adapters\" must be a string or a list of strings, not {}",
                                   adapters->KindName()));
  }
  for (Json& entry : *list) {
    std::string* const name = entry.AsString();
    if (name == nullptr) {
      return InvalidBody(fmt::format("\"adapters\" must hold strings, not {}", entry.KindName()));
    }
    if (call.adapter.empty()) call.adapter = std::move(*name);
  }
  return OkStatus();
}

// Whether to sample, as DJLServing decides it: "do_sample" if it is given, else whether there
// is a temperature. The asynchronous handlers sample unless they are told not to.
void DecideSampling(settings::AnswerShape shape, PartialCall& partial) {
  sampling::SamplingParams& params = partial.call.request.params;
  if (partial.temperature) params.temperature = *partial.temperature;
  const double temperature =
      partial.temperature.value_or(shape == settings::AnswerShape::kAsync ? 1 : 0);
  params.do_sample = partial.do_sample.value_or(temperature != 0);
}

}  // namespace

Result<GenerateCall> MakeDjlCall(Json body, settings::AnswerShape shape) {
  Json::Object* const object = body.AsObject();
  if (object == nullptr) {
    return InvalidBody(
        fmt::format("the request's body must be a JSON object with the field \"inputs\", not {}",
                    body.KindName()));
  }
  Json* inputs = nullptr;
  Json* parameters = nullptr;
  Json* stream = nullptr;
  Json* adapters = nullptr;
  if (const auto unknown = FindFields(*object, {{"inputs", &inputs},
                                                {"parameters", &parameters},
                                                {"stream", &stream},
                                                {"adapters", &adapters}})) {
    return UnknownField(*unknown);
  }
  if (inputs == nullptr) {
    return InvalidBody("the request has no \"inputs\"; send {\"inputs\": \"some text\"}");
  }
  PartialCall partial;
  DRAY_RETURN_IF_ERROR(ReadInputs("inputs", *inputs, partial.call));
  DRAY_RETURN_IF_ERROR(ReadStream(stream, partial.call));
  DRAY_RETURN_IF_ERROR(ReadAdapters(adapters, partial.call));
  DRAY_RETURN_IF_ERROR(ReadParameterField(DjlParameters(), parameters, partial));
  DecideSampling(shape, partial);
  DRAY_RETURN_IF_ERROR(DecideCounts(partial));
  return std::move(partial.call);
}

Result<GenerateCall> MakeDjlTextCall(std::string text, settings::AnswerShape shape) {
  if (text.empty()) return InvalidBody("the request has no text");
  PartialCall partial;
  partial.call.shape = InputShape::kList;
  partial.call.inputs.push_back(std::move(text));
  DecideSampling(shape, partial);
  DRAY_RETURN_IF_ERROR(DecideCounts(partial));
  return std::move(partial.call);
}

Result<GenerateCall> CallReader::ReadJson(std::string_view json) const {
  DRAY_ASSIGN_OR_RETURN(Json body, ParseBody(json));
  return ReadBody(std::move(body));
}

Result<GenerateCall> CallReader::ReadBody(Json body) const {
  return settings::IsOfTransformers(shape_) ? MakeTransformersCall(std::move(body), delivery_)
                                            : MakeDjlCall(std::move(body), shape_);
}

Result<GenerateCall> CallReader::ReadCsv(std::string_view csv) const {
  DRAY_ASSIGN_OR_RETURN(Json body, ReadCsvBody(csv));
  return ReadBody(std::move(body));
}

Result<GenerateCall> CallReader::ReadText(std::string text) const {
  return settings::IsOfTransformers(shape_) ? MakeTransformersTextCall(std::move(text), delivery_)
                                            : MakeDjlTextCall(std::move(text), shape_);
}

}  // namespace dray::api
