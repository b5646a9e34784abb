#include "api/djl/djl_body.h"

#include <fmt/format.h>

#include <algorithm>
#include <utility>

namespace dray::api {

Status InvalidBody(std::string message) {
  return {StatusCode::kInvalidArgument, std::move(message)};
}

Result<Json> ParseBody(std::string_view json) {
  auto body = Json::Parse(json, {.max_depth = kMaxJsonDepth, .max_values = kMaxJsonValues});
  if (body.ok()) return body;
  const bool too_many = body.status().code() == StatusCode::kResourceExhausted;
  return InvalidBody(fmt::format("the request's body {}: {}",
                                 too_many ? "is too large" : "is not JSON",
                                 body.status().message()));
}

std::optional<std::string_view> FindFields(Json::Object& body,
                                           std::initializer_list<BodyField> fields) {
  for (auto& [member, value] : body) {
    const std::string_view name = member;
    const auto* const field = std::find_if(fields.begin(), fields.end(),
                                           [name](const BodyField& f) { return f.name == name; });
    if (field == fields.end()) return name;
    *field->value = value.is_null() ? nullptr : &value;
  }
  return std::nullopt;
}

Status ReadInputs(std::string_view field, Json& inputs, GenerateCall& call) {
  if (std::string* text = inputs.AsString()) {
    call.inputs.push_back(std::move(*text));
  } else if (Json::Array* list = inputs.AsArray()) {
    call.shape = InputShape::kList;
    if (list->empty() || list->size() > kMaxInputs) {
      return InvalidBody(fmt::format("\"{}\" has {} entries; it must have 1 to {}", field,
                                     list->size(), kMaxInputs));
    }
    for (Json& entry : *list) {
      std::string* const one = entry.AsString();
      if (one == nullptr) {
        return InvalidBody(
            fmt::format("\"{}\" must hold strings, not {}", field, entry.KindName()));
      }
      call.inputs.push_back(std::move(*one));
    }
  } else {
    return InvalidBody(fmt::format("\"{}\" must be a string or a list of strings, not {}", field,
                                   inputs.KindName()));
  }
  for (const std::string& text : call.inputs) {
    if (text.empty()) {
      return InvalidBody(fmt::format("\"{}\" holds an empty string; send some text", field));
    }
  }
  return OkStatus();
}

Status ReadStream(const Json* stream, GenerateCall& call) {
  if (stream == nullptr) return OkStatus();
  call.stream = stream->AsBool();
  if (call.stream) return OkStatus();
  return InvalidBody(fmt::format("\"stream\" must be true or false, not {}", stream->KindName()));
}

Status ReadParameterField(std::span<const ParameterSpelling> spellings, Json* parameters,
                          PartialCall& partial) {
  if (parameters == nullptr) return OkStatus();
  Json::Object* const object = parameters->AsObject();
  if (object == nullptr) {
    return InvalidBody(
        fmt::format("\"parameters\" must be an object, not {}", parameters->KindName()));
  }
  return ReadParameters(spellings, *object, partial);
}

Status DecideCounts(PartialCall& partial) {
  GenerateCall& call = partial.call;
  sampling::SamplingParams& params = call.request.params;
  if (sampling::UsesBeams(params)) {
    if (partial.best_of && *partial.best_of != params.num_beams) {
      return InvalidBody(fmt::format(
          "parameter \"best_of\" is {} and \"num_beams\" is {}; beam search finds as many "
          "sequences as it has beams: leave out best_of",
          *partial.best_of, params.num_beams));
    }
    partial.best_of.reset();
  }
  call.num_returned = partial.n.value_or(partial.best_of.value_or(1));
  params.n = partial.best_of.value_or(call.num_returned);
  if (call.num_returned < 1 || params.n < call.num_returned) {
    return InvalidBody(
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

}  // namespace dray::api
