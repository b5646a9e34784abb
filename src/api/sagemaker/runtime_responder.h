// What SageMaker's front end does to a container's answer on its way to the client.
#pragma once

#include <string>

#include "http/responder.h"

namespace dray::api {

struct RuntimeAnswer {
  std::string endpoint;
  // The production variant that answers.
  std::string variant;
  std::string request_id;
};

// InvokeEndpoint: the answer goes on as it is, with the headers of the runtime API; an error becomes one of the API.
http::ResponderPtr MakeRuntimeResponder(http::ResponderPtr client, RuntimeAnswer answer);

// InvokeEndpointWithResponseStream: beside that, the body goes on in frames of an event stream, whether the container
// streams it or not. An answer that breaks off ends with an exception: ModelStreamError.
http::ResponderPtr MakeEventStreamResponder(http::ResponderPtr client, RuntimeAnswer answer);

}  // namespace dray::api
