#include "api/djl/transformers_call.h"

#include <fmt/format.h>

#include <algorithm>
#include <utility>

#include "api/djl/djl_body.h"
#include "api/djl/djl_parameters.h"
#include "api/parameters.h"
#include "base/parse/json.h"

namespace dray::api {
namespace {

// Of the streams and of FasterTransformer. transformers' own default, 20 tokens with the prompt's,
// leaves most prompts without an answer, so it is not kept.
constexpr int64_t kDefaultNewTokens = 50;
// What transformers-neuronx samples from.
constexpr int64_t kNeuronTopK = 50;

// The body's fields, each null if it is absent.
struct Fields {
  Json* inputs = nullptr;
  Json* text = nullptr;
  Json* seq_length = nullptr;
  Json* parameters = nullptr;
};

Result<Fields> ReadFields(Json::Object& body) {
  Fields fields;
  if (const auto unknown = FindFields(body, {{"inputs", &fields.inputs},
                                             {"text", &fields.text},
                                             {"seq_length", &fields.seq_length},
                                             {"parameters", &fields.parameters}})) {
    return InvalidBody(fmt::format(
        "field \"{}\" is not known; the fields are inputs and parameters, or text and seq_length",
        unknown->substr(0, 100)));
  }
  if ((fields.inputs == nullptr) == (fields.text == nullptr)) {
    return InvalidBody(
        "the request must have either \"inputs\" or \"text\"; send {\"inputs\": \"some text\"}");
  }
  return fields;
}

// Whether the parameters ask for sampling in a stream without saying "do_sample".
bool HasSamplingParameter(const Json* parameters) {
  const Json::Object* const object = parameters == nullptr ? nullptr : parameters->AsObject();
  if (object == nullptr) return false;
  return std::any_of(object->begin(), object->end(), [](const auto& member) {
    const auto& name = member.first;
    return name == "temperature" || name == "top_k" || name == "top_p" || name == "typical_p";
  });
}

PartialCall DefaultCall(Delivery delivery) {
  PartialCall partial;
  partial.call.shape = InputShape::kList;
  partial.call.return_full_text = delivery == Delivery::kWhole;
  return partial;
}

Result<GenerateCall> Decide(PartialCall partial) {
  GenerateCall& call = partial.call;
  if (partial.temperature) call.request.params.temperature = *partial.temperature;
  if (partial.do_sample) call.request.params.do_sample = *partial.do_sample;
  if (!call.request.max_new_tokens && !call.request.max_length) {
    call.request.max_new_tokens = kDefaultNewTokens;
  }
  DRAY_RETURN_IF_ERROR(DecideCounts(partial));
  return std::move(partial.call);
}

// {"text": [...], "seq_length": ...}.
Result<GenerateCall> ParseTexts(const Fields& fields) {
  PartialCall partial = DefaultCall(Delivery::kWhole);
  DRAY_RETURN_IF_ERROR(ReadInputs("text", *fields.text, partial.call));
  partial.call.shape = InputShape::kTexts;
  partial.call.request.params.do_sample = true;
  partial.call.request.params.top_k = kNeuronTopK;
  if (fields.seq_length != nullptr) {
    const auto length = fields.seq_length->AsInt64();
    if (!length || *length < 1) {
      return InvalidBody(fmt::format("\"seq_length\" must be a whole number from 1 up, not {}",
                                     fields.seq_length->Dump().substr(0, 100)));
    }
    partial.call.request.max_length = *length;
  }
  DRAY_RETURN_IF_ERROR(ReadParameterField(TransformersParameters(), fields.parameters, partial));
  return Decide(std::move(partial));
}

}  // namespace

Result<GenerateCall> MakeTransformersCall(Json body, Delivery delivery) {
  PartialCall partial = DefaultCall(delivery);
  Json::Object* const object = body.AsObject();
  if (object == nullptr) {
    DRAY_RETURN_IF_ERROR(ReadInputs("inputs", body, partial.call));
    return Decide(std::move(partial));
  }
  DRAY_ASSIGN_OR_RETURN(const Fields fields, ReadFields(*object));
  if (fields.text != nullptr) return ParseTexts(fields);
  DRAY_RETURN_IF_ERROR(ReadInputs("inputs", *fields.inputs, partial.call));
  // Whatever came, a list goes back; that of a lone text has one entry.
  if (fields.inputs->AsArray() == nullptr) partial.call.shape = InputShape::kOne;
  partial.call.request.params.do_sample =
      delivery == Delivery::kStreamed && HasSamplingParameter(fields.parameters);
  DRAY_RETURN_IF_ERROR(ReadParameterField(TransformersParameters(), fields.parameters, partial));
  return Decide(std::move(partial));
}

Result<GenerateCall> MakeTransformersTextCall(std::string text, Delivery delivery) {
  if (text.empty()) return InvalidBody("the request has no text");
  PartialCall partial = DefaultCall(delivery);
  partial.call.shape = InputShape::kOne;
  partial.call.inputs.push_back(std::move(text));
  return Decide(std::move(partial));
}

}  // namespace dray::api
