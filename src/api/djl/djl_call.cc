// Null stands for an absent parameter, as in the clients that send every one.
#include "api/djl/djl_call.h"

#include <fmt/format.h>

#include <algorithm>
#include <utility>

#include "api/djl/djl_parameters.h"
#include "api/parameters.h"
#include "base/parse/json.h"

namespace dray::api {
namespace {

Status Invalid(std::string message) { return {StatusCode::kInvalidArgument, std::move(message)}; }

// The body's fields, each null if it is absent.
struct Fields {
  Json* inputs = nullptr;
  Json* parameters = nullptr;
  Json* stream = nullptr;
};

// One pass; of equal names the last counts.
Result<Fields> FindFields(Json::Object& body) {
  Fields fields;
  for (auto& [name, value] : body) {
    Json* const present = value.is_null() ? nullptr : &value;
    if (name == "inputs") {
      fields.inputs = present;
    } else if (name == "parameters") {
      fields.parameters = present;
    } else if (name == "stream") {
      fields.stream = present;
    } else if (name == "messages" || name == "prompt") {
      return Invalid(fmt::format(
          "field \"{}\" is of an API that is not in this build yet; send \"inputs\"", name));
    } else {
      return Invalid(
          fmt::format("field \"{}\" is not known; the fields are inputs, parameters, stream",
                      name.substr(0, 100)));
    }
  }
  return fields;
}

Status ReadInputs(Json* inputs, GenerateCall& call) {
  if (inputs == nullptr) {
    return Invalid("the request has no \"inputs\"; send {\"inputs\": \"some text\"}");
  }
  if (std::string* text = inputs->AsString()) {
    call.inputs.push_back(std::move(*text));
  } else if (Json::Array* list = inputs->AsArray()) {
    call.shape = InputShape::kList;
    if (list->empty() || list->size() > kMaxInputs) {
      return Invalid(
          fmt::format("\"inputs\" has {} entries; it must have 1 to {}", list->size(), kMaxInputs));
    }
    for (Json& entry : *list) {
      std::string* const one = entry.AsString();
      if (one == nullptr) {
        return Invalid(fmt::format("\"inputs\" must hold strings, not {}", entry.KindName()));
      }
      call.inputs.push_back(std::move(*one));
    }
  } else {
    return Invalid(fmt::format("\"inputs\" must be a string or a list of strings, not {}",
                               inputs->KindName()));
  }
  for (const std::string& text : call.inputs) {
    if (text.empty()) return Invalid("\"inputs\" holds an empty string; send some text");
  }
  return OkStatus();
}

Status ReadStream(const Json* stream, GenerateCall& call) {
  if (stream == nullptr) return OkStatus();
  call.stream = stream->AsBool();
  if (call.stream) return OkStatus();
  return Invalid(fmt::format("\"stream\" must be true or false, not {}", stream->KindName()));
}

Status ReadParameterField(Json* parameters, PartialCall& partial) {
  if (parameters == nullptr) return OkStatus();
  Json::Object* const object = parameters->AsObject();
  if (object == nullptr) {
    return Invalid(fmt::format("\"parameters\" must be an object, not {}", parameters->KindName()));
  }
  return ReadParameters(DjlParameters(), *object, partial);
}

// Whether to sample, as DJLServing decides it: "do_sample" if it is given, else whether there
// is a temperature.
void DecideSampling(PartialCall& partial) {
  sampling::SamplingParams& params = partial.call.request.params;
  if (partial.temperature) params.temperature = *partial.temperature;
  params.do_sample = partial.do_sample.value_or(partial.temperature.value_or(0) != 0);
}

Status DecideCounts(PartialCall& partial) {
  GenerateCall& call = partial.call;
  sampling::SamplingParams& params = call.request.params;
  call.num_returned = partial.n.value_or(partial.best_of.value_or(1));
  params.n = partial.best_of.value_or(call.num_returned);
  if (call.num_returned < 1 || params.n < call.num_returned) {
    return Invalid(
        fmt::format("parameter \"n\" is {} and \"best_of\" is {}; n must be at least 1 "
                    "and at most best_of",
                    call.num_returned, params.n));
  }
  if (partial.logprobs) params.num_logprobs = std::max(*partial.logprobs, call.top_n_tokens);
  if (call.top_n_tokens > 0)
    params.num_logprobs = std::max(call.top_n_tokens, partial.logprobs.value_or(0));
  // Every token is answered with its log-probability, and the best sequence is known by their sum.
  if (!params.num_logprobs) params.num_logprobs = 0;
  if (call.decoder_input_details && !params.prompt_logprobs) params.prompt_logprobs = 0;
  return OkStatus();
}

}  // namespace

Result<GenerateCall> ParseDjlCall(std::string_view json) {
  auto body = Json::Parse(json, {.max_depth = kMaxJsonDepth, .max_values = kMaxJsonValues});
  if (!body.ok()) {
    const bool too_many = body.status().code() == StatusCode::kResourceExhausted;
    return Invalid(fmt::format("the request's body {}: {}",
                               too_many ? "is too large" : "is not JSON", body.status().message()));
  }
  return MakeDjlCall(std::move(body).value());
}

Result<GenerateCall> MakeDjlCall(Json body) {
  Json::Object* const object = body.AsObject();
  if (object == nullptr) {
    return Invalid(
        fmt::format("the request's body must be a JSON object with the field \"inputs\", not {}",
                    body.KindName()));
  }
  DRAY_ASSIGN_OR_RETURN(const Fields fields, FindFields(*object));
  PartialCall partial;
  DRAY_RETURN_IF_ERROR(ReadInputs(fields.inputs, partial.call));
  DRAY_RETURN_IF_ERROR(ReadStream(fields.stream, partial.call));
  DRAY_RETURN_IF_ERROR(ReadParameterField(fields.parameters, partial));
  DecideSampling(partial);
  DRAY_RETURN_IF_ERROR(DecideCounts(partial));
  return std::move(partial.call);
}

Result<GenerateCall> MakeDjlTextCall(std::string text) {
  if (text.empty()) return Invalid("the request has no text");
  GenerateCall call;
  call.shape = InputShape::kList;
  call.inputs.push_back(std::move(text));
  call.request.params.num_logprobs = 0;
  return call;
}

}  // namespace dray::api
