// Request bodies of DJLServing up to 0.23, whose handlers passed them on to transformers.
#pragma once

#include <string>

#include "api/call.h"
#include "api/reply.h"
#include "base/parse/json.h"
#include "base/status.h"

namespace dray::api {

// Reads one of
//   {"inputs": "text" or ["text", ...], "parameters": {...}}   with parameters of generate()
//   ["text", ...]                                              inputs alone
//   {"text": ["text", ...], "seq_length": 2048}                the Neuron samples: texts alone come
//                                                              back, of seq_length tokens at most
// `delivery` is the model's, since a request of that time does not say "stream". It decides when to
// sample: a whole answer is sampled if "do_sample" is true, a stream also if there is any of
// "temperature", "top_k", "top_p" and "typical_p". Whole answers begin with their prompt.
// kInvalidArgument names the field.
Result<GenerateCall> MakeTransformersCall(Json body, Delivery delivery);
// A body of plain text.
Result<GenerateCall> MakeTransformersTextCall(std::string text, Delivery delivery);

}  // namespace dray::api
