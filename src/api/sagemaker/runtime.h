// SageMaker's runtime API, as its clients (boto3, the AWS CLI) call it: POST /endpoints/{endpoint}/invocations and
// .../invocations-response-stream. This is what SageMaker's front end does before a model's container, here in front
// of the server's own route /invocations.
#pragma once

#include "http/router.h"
#include "serving/repository.h"

namespace dray::api {

// Adds the routes. `models` must outlive the server that they go to. `invoke` answers a request as the container's
// /invocations does; the request names its model, and perhaps the version, as the path parameters "model" and
// "version".
void RegisterRuntimeRoutes(http::Router& router, const serving::ModelRepository& models,
                           http::Handler invoke);

}  // namespace dray::api
