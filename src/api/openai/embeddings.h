// OpenAI's embeddings: POST /v1/embeddings.
#pragma once

#include "api/task_queue.h"
#include "http/router.h"
#include "serving/repository.h"

namespace dray::api {

// Adds the route. `models` and `tasks` must outlive the server that it goes to.
void RegisterEmbeddingsRoute(http::Router& router, serving::ModelRepository& models,
                             TaskQueue& tasks);

}  // namespace dray::api
