// DJLServing's inference API, which is also SageMaker's: /ping, /invocations, /predictions/{model}.
#pragma once

#include <memory>
#include <string>

#include "api/task_queue.h"
#include "http/response.h"
#include "http/router.h"
#include "serving/repository.h"

namespace dray::api {

struct DjlOptions {
  // The request's header that carries its id; the answer's is always x-request-id.
  std::string request_id_header = "x-request-id";
  // /ping answers 207 while a model is being loaded.
  bool allow_multi_status = false;
};

// Adds the routes. `models` must outlive the server that they go to. Requests are read and tokenized
// on `tasks`, which must live until the server has stopped.
void RegisterDjlRoutes(http::Router& router, serving::ModelRepository& models, TaskQueue& tasks,
                       const DjlOptions& options);

// For http::ServerOptions::make_error: what the server itself refuses, in the same shape.
http::Response MakeDjlServerError(const DjlOptions& options, int status, const std::string& message,
                                  const http::Request* request);

}  // namespace dray::api
