// DJLServing's management API, which is also SageMaker's contract for containers of several models:
// /models registers, lists, describes and unregisters models.
#pragma once

#include "http/router.h"
#include "serving/manager/model_manager.h"
#include "serving/repository.h"

namespace dray::api {

// Adds the routes. `manager` and `models`, which is its repository, must outlive the server that the
// routes go to.
void RegisterManagementRoutes(http::Router& router, serving::ModelManager& manager,
                              const serving::ModelRepository& models);

}  // namespace dray::api
