// Routes and names of models; prediction.cc reads a body and has it answered.
#include "api/djl/djl.h"

#include <algorithm>
#include <limits>
#include <map>
#include <memory>
#include <new>
#include <utility>

#include "api/djl/djl_answers.h"
#include "api/djl/djl_form.h"
#include "api/djl/encoder/encoder_call.h"
#include "api/djl/errors/djl_errors.h"
#include "api/djl/paging/djl_paging.h"
#include "api/djl/prediction.h"
#include "base/parse/json.h"
#include "http/encoding/form.h"

namespace dray::api {
namespace {

using serving::ModelRepository;

// As DJLServing's /ping shows the state of a name. Of several versions the worst counts; so the order
// of these is from good to bad.
enum class Health { kUnloading, kHealthy, kUnhealthy, kPending, kFailed };

Health HealthOf(const serving::ModelInfo& info, const DjlOptions& options) {
  switch (info.state) {
    case serving::ModelState::kPending:
    case serving::ModelState::kLoading:
      return Health::kPending;
    case serving::ModelState::kReady:
      return info.lacks_workers ? Health::kUnhealthy : Health::kHealthy;
    case serving::ModelState::kFailed:
      return info.was_ready && options.hide_failed_workers ? Health::kUnhealthy : Health::kFailed;
    case serving::ModelState::kUnloading:
      break;
  }
  return Health::kUnloading;
}

std::string_view NameOf(Health health) {
  constexpr std::string_view kNames[] = {"UNLOADING", "Healthy", "Unhealthy", "PENDING", "FAILED"};
  return kNames[static_cast<size_t>(health)];
}

// The handlers' common part; lives as long as the routes.
class DjlService : public std::enable_shared_from_this<DjlService> {
 public:
  DjlService(ModelRepository& models, TaskQueue& tasks, const DjlOptions& options,
             LoadMissing load_missing)
      : models_(models),
        tasks_(tasks),
        options_(options),
        load_missing_(std::move(load_missing)),
        pages_(std::make_shared<PageStore>(PageStore::Limits{
            .max_answers = options.max_kept_answers.value_or(std::numeric_limits<size_t>::max())})),
        state_{.sessions = {}, .errors = std::make_shared<ErrorPolicy>(options.errors)} {}

  void Ping(const http::ResponderPtr& responder) const;
  // Reads and submits on a thread of the queue, unless the request only fetches an answer.
  void Predict(http::Request request, http::ResponderPtr responder);

 private:
  // Whether a model that is missing may be loaded first.
  enum class Missing { kLoad, kRefuse };
  void Enqueue(std::shared_ptr<http::Request> request, http::ResponderPtr responder,
               Missing missing);
  void PredictNow(const std::shared_ptr<http::Request>& request,
                  const http::ResponderPtr& responder, Missing missing);
  void LoadFirst(const MissingModel& model, const std::shared_ptr<http::Request>& request,
                 const http::ResponderPtr& responder);

  ModelRepository& models_;
  TaskQueue& tasks_;
  const DjlOptions options_;
  const LoadMissing load_missing_;
  const std::shared_ptr<PageStore> pages_;
  PredictionState state_;
};

void DjlService::Ping(const http::ResponderPtr& responder) const {
  // No probe may send traffic before every model of the start is there.
  int status = models_.StartUpDone() || !options_.wait_model_loading ? 200 : 503;
  std::map<std::string, Health> healths;
  for (const serving::ModelInfo& info : models_.List()) {
    const Health health = HealthOf(info, options_);
    const auto known = healths.try_emplace(info.name, health).first;
    known->second = std::max(known->second, health);
    if (health == Health::kPending && status == 200 && options_.allow_multi_status) status = 207;
    const bool fails =
        health == Health::kFailed || (health == Health::kUnhealthy && options_.fail_unhealthy);
    if (fails) status = 500;
  }
  if (state_.errors->exceeded()) status = 503;
  Json body = Json::MakeObject();
  for (const auto& [name, health] : healths) {
    body.Set(name, Json::MakeObject({{"status", NameOf(health)}}));
  }
  SendDjlJson(responder, status, body);
}

void DjlService::Predict(http::Request request, http::ResponderPtr responder) {
  responder = TakePaging(*pages_, *state_.errors, request, std::move(responder));
  if (responder == nullptr) return;
  Enqueue(std::make_shared<http::Request>(std::move(request)), std::move(responder),
          Missing::kLoad);
}

void DjlService::Enqueue(std::shared_ptr<http::Request> request, http::ResponderPtr responder,
                         Missing missing) {
  const TaskSize size = TaskSizeOf(request->body.size());
  tasks_.Add(size, [self = shared_from_this(), request = std::move(request),
                    responder = std::move(responder), missing] {
    // A client that has left while its request waited here has no use for an answer.
    if (responder->cancelled()) return;
    try {
      self->PredictNow(request, responder, missing);
    } catch (const std::bad_alloc&) {
      request->DropBody();
      SendDjlError(responder,
                   MakeDjlError(503, "the server has no memory left for this request; try again"));
    }
  });
}

void DjlService::PredictNow(const std::shared_ptr<http::Request>& request,
                            const http::ResponderPtr& responder, Missing missing) {
  if (!FindDjlProperty(*request, "handler").empty()) {
    return SendDjlError(
        responder, {400, "BadRequestException", "The handler can't be overridden in a request"});
  }
  const std::string* in_path = request->PathParameter("model");
  std::string name = in_path != nullptr ? *in_path : FindDjlProperty(*request, "model_name");
  if (name.empty()) name = FindFormProperty(*request, "model_name");
  if (name.empty()) name = models_.OnlyName();
  if (name.empty()) {
    return SendDjlError(responder,
                        {400, "BadRequestException", "Parameter model_name is required."});
  }
  const std::string* version_in_path = request->PathParameter("version");
  std::string version = version_in_path != nullptr ? *version_in_path : "";
  // As in DJLServing, /predictions names a version by its path alone.
  if (version.empty() && !request->path.starts_with("/predictions/")) {
    version = FindDjlProperty(*request, "model_version");
    if (version.empty()) version = FindFormProperty(*request, "model_version");
  }
  const auto model = models_.Find(name, version);
  if (model.ok()) {
    // A server that is flooded spends nothing on the bodies of requests that it refuses.
    if (const auto refusal = (*model)->RefuseUnread()) {
      request->DropBody();
      return responder->Send(state_.errors->Answer(*refusal));
    }
    if ((*model)->encoder() != nullptr) {
      return PredictWithEncoder(*request, responder, **model, {tasks_, state_.errors});
    }
    return api::Predict(*request, responder, **model, state_);
  }
  const bool unknown = std::holds_alternative<serving::ModelUnknown>(model.reason());
  if (unknown && missing == Missing::kLoad && load_missing_ != nullptr) {
    return LoadFirst({name, version, FindDjlProperty(*request, "model_url")}, request, responder);
  }
  responder->Send(state_.errors->Answer(model.reason()));
}

void DjlService::LoadFirst(const MissingModel& model, const std::shared_ptr<http::Request>& request,
                           const http::ResponderPtr& responder) {
  load_missing_(model, [self = shared_from_this(), request,
                        responder](const std::optional<serving::Reason>& failure) {
    if (failure) {
      request->DropBody();
      return SendDjlError(responder, MakeDjlError(*failure));
    }
    self->Enqueue(request, responder, Missing::kRefuse);
  });
}

}  // namespace

http::Handler RegisterDjlRoutes(http::Router& router, ModelRepository& models, TaskQueue& tasks,
                                const DjlOptions& options, LoadMissing load_missing) {
  const auto service =
      std::make_shared<DjlService>(models, tasks, options, std::move(load_missing));
  const auto ping = [service](const http::Request&, const http::ResponderPtr& responder) {
    service->Ping(responder);
  };
  const auto describe = [](const http::Request&, const http::ResponderPtr& responder) {
    SendDjlJson(responder, 200, Json::MakeObject());
  };
  const auto predict = [service](http::Request request, http::ResponderPtr responder) {
    service->Predict(std::move(request), std::move(responder));
  };
  router.Add("*", "/ping", ping, http::RouteKind::kHealthCheck);
  router.Add("OPTIONS", "/", describe);
  for (const char* path : {"/invocations", "/v1/chat/completions", "/predictions/{model}",
                           "/predictions/{model}/{version}", "/models/{model}/invoke",
                           "/models/{model}/{version}/invoke"}) {
    // DJLServing does not look at the method.
    router.Add("*", path, predict);
    router.Add("OPTIONS", path, describe);
  }
  return predict;
}

http::Response MakeDjlServerError(int status, const std::string& message) {
  return ToResponse(MakeDjlError(status, message));
}

http::Headers DjlDefaultHeaders() {
  http::Headers headers;
  headers.Add("Pragma", "no-cache");
  headers.Add("Cache-Control", "no-cache; no-store, must-revalidate, private");
  headers.Add("Expires", "Thu, 01 Jan 1970 00:00:00 UTC");
  return headers;
}

}  // namespace dray::api
