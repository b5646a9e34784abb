// The body of a DJLServing request as checked types, with DJLServing's defaults.
#pragma once

#include <string>
#include <string_view>

#include "api/call.h"
#include "api/reply.h"
#include "base/parse/json.h"
#include "base/status.h"
#include "settings/answers/answer_shape.h"

namespace dray::api {

// The body {"inputs": ..., "parameters": {...}, "stream": ...} to a model that answers in `shape`,
// which is none of transformers' (transformers_call.h). kInvalidArgument names the field.
Result<GenerateCall> MakeDjlCall(Json body, settings::AnswerShape shape);
// A body of plain text to such a model: one input, in a list of its own, with default parameters.
Result<GenerateCall> MakeDjlTextCall(std::string text, settings::AnswerShape shape);

// Reads the bodies of a model's requests, in the shape that the model speaks.
class CallReader {
 public:
  // `delivery` is how the model answers a request that does not say how.
  CallReader(settings::AnswerShape shape, Delivery delivery) : shape_(shape), delivery_(delivery) {}

  Result<GenerateCall> ReadJson(std::string_view json) const;
  Result<GenerateCall> ReadBody(Json body) const;
  Result<GenerateCall> ReadText(std::string text) const;
  Result<GenerateCall> ReadCsv(std::string_view csv) const;

 private:
  settings::AnswerShape shape_;
  Delivery delivery_;
};

}  // namespace dray::api
