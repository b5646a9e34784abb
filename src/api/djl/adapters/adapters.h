// Adapters (LoRA), which this build does not have. DJLServing's routes for them answer as it answers for a model without
// LoRA. A request that names an adapter is refused, since the model alone would give another answer.
#pragma once

#include <string>

#include "base/status.h"
#include "http/request.h"
#include "http/router.h"
#include "serving/repository.h"

namespace dray::api {

// Adds /adapters... and /models/{model}/adapters..., which are routes of management. Must be called before the routes of
// /models/{model}/{version} are added. `models` must outlive the server that they go to.
void RegisterAdapterRoutes(http::Router& router, const serving::ModelRepository& models);

// The adapter that a request names beside its body, in SageMaker's header or in its query; "" without one.
std::string FindAdapter(const http::Request& request);

// Why a request for this adapter is refused: kInvalidArgument.
Status UnknownAdapter(const std::string& adapter);

}  // namespace dray::api
