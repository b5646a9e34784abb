// DJLServing's inference API, which is also SageMaker's: /ping, /invocations, /predictions/{model},
// /models/{model}/invoke, and /v1/chat/completions, which is /invocations under another name.
#pragma once

#include <functional>
#include <optional>
#include <string>

#include "api/task_queue.h"
#include "http/responder.h"
#include "http/response.h"
#include "http/router.h"
#include "serving/repository.h"
#include "settings/server/error_settings.h"

namespace dray::api {

struct DjlOptions {
  // /ping answers 207 while a model is being loaded.
  bool allow_multi_status = false;
  // /ping answers 503 until the models of the start are loaded.
  bool wait_model_loading = true;
  // Answers that are kept to be fetched later (api/paging/page_store.h); absent: any number.
  std::optional<size_t> max_kept_answers = 1000;
  // /ping answers 500 while a model lacks workers.
  bool fail_unhealthy = false;
  // /ping shows a model whose workers have failed as it shows one that lacks workers.
  bool hide_failed_workers = false;
  settings::ErrorSettings errors = {};
};

// What a request wants that names a model which the server does not have.
struct MissingModel {
  std::string name;
  std::string version;
  std::string url;  // "": none was given
};
// Loads it, and calls `then`, perhaps on another thread, with the reason if that failed.
using LoadMissing = std::function<void(const MissingModel& model,
                                       std::function<void(std::optional<serving::Reason>)> then)>;

// Adds the routes. `models` must outlive the server that they go to. Requests are read and tokenized
// on `tasks`, which must live until the server has stopped. Without `load_missing` a request for a
// model that the server does not have is an error. Returns the handler of /invocations, for other routes that end
// there; the path parameters "model" and "version" name a model.
http::Handler RegisterDjlRoutes(http::Router& router, serving::ModelRepository& models,
                                TaskQueue& tasks, const DjlOptions& options,
                                LoadMissing load_missing = nullptr);

// For http::ServerOptions::make_error: what the server itself refuses, in the same shape.
http::Response MakeDjlServerError(int status, const std::string& message);

// For http::ServerOptions::default_headers: what DJLServing sends with every answer.
http::Headers DjlDefaultHeaders();

}  // namespace dray::api
