// A request to a model: its body is read, and answered in the shape that the model speaks.
#pragma once

#include <memory>

#include "api/djl/errors/error_policy.h"
#include "api/sagemaker/sessions.h"
#include "http/request.h"
#include "http/responder.h"
#include "serving/served_model.h"

namespace dray::api {

// What all requests to a server share.
struct PredictionState {
  SessionTable sessions;
  std::shared_ptr<ErrorPolicy> errors;
};

// Reads and submits; the answer comes when the model has made it. The request loses its body.
void Predict(http::Request& request, const http::ResponderPtr& responder,
             serving::ServedModel& model, PredictionState& state);

}  // namespace dray::api
