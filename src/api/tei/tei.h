// The routes of Hugging Face's Text Embeddings Inference: POST /embed, /predict and /rerank.
#pragma once

#include "api/task_queue.h"
#include "http/router.h"
#include "serving/repository.h"

namespace dray::api {

// Adds the routes, which answer for the model of the query's "model", or for the only one. `models` and
// `tasks` must outlive the server that they go to.
void RegisterTeiRoutes(http::Router& router, serving::ModelRepository& models, TaskQueue& tasks);

}  // namespace dray::api
