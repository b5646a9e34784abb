// DJLServing's requests to models that are encoders: the shapes of Hugging Face's pipelines.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>

#include "api/djl/errors/error_policy.h"
#include "api/task_queue.h"
#include "engine/encoder/encoder_engine.h"
#include "http/request.h"
#include "http/responder.h"
#include "serving/encoder/encode_call.h"
#include "serving/served_model.h"

namespace dray::api {

struct DjlEncodeCall {
  serving::EncodeCall encode;
  bool is_one = false;  // whether `inputs` was no list
  // Of classes: how many of the best a text is answered with; absent: the best one, not in a list.
  std::optional<int64_t> top_k;
  std::optional<engine::ClassScores> scores;  // absent: the model's own
};

// {"inputs": text or list, "parameters": {...}}; an input of a classifier may be a pair, {"text",
// "text_pair"}. What the request wants is `output`. kInvalidArgument says what is wrong.
Result<DjlEncodeCall> ReadDjlEncodeCall(std::string_view body, engine::EncodeOutput output);

// What an answer needs of its model.
struct EncoderFacts {
  int64_t hidden = 0;                                    // numbers of a token's state
  const engine::ClassifierConfig* classifier = nullptr;  // null: the model has no classes
};
// A vector for one input, a list of vectors for a list; classes and token states as pipelines answer
// with them.
std::string WriteDjlEncodeAnswer(const DjlEncodeCall& call, const serving::EncodeAnswer& answer,
                                 const EncoderFacts& model);

struct DjlEncodeState {
  TaskQueue& tasks;
  std::shared_ptr<ErrorPolicy> errors;
};
// Answers the request; `model` must be an encoder. Its texts are tokenized on this thread.
void PredictWithEncoder(http::Request& request, const http::ResponderPtr& responder,
                        serving::ServedModel& model, const DjlEncodeState& state);

}  // namespace dray::api
