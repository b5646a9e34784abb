// Routes and handlers. What takes long goes to the manager, which answers from a thread of its own, so
// no handler blocks.
#include "api/management/management.h"

#include <fmt/format.h>

#include <algorithm>
#include <functional>
#include <memory>
#include <optional>
#include <utility>
#include <variant>

#include "api/djl/djl_answers.h"
#include "api/management/describe_models.h"
#include "api/management/management_parameters.h"
#include "serving/load/model_source.h"

namespace dray::api {
namespace {

using http::Request;
using http::ResponderPtr;
using serving::ModelManager;

constexpr std::string_view kModelNotFound = "ModelNotFoundException";
// The most names of one page, and how many there are without a limit.
constexpr int64_t kMaxPage = 100;

// Why a model could not be loaded. DJLServing has an exception for files that are no model.
DjlError LoadError(const Status& status) {
  if (status.code() == StatusCode::kCorrupt) {
    return {400, "MalformedModelException", status.message()};
  }
  return MakeDjlError(status);
}

// Why an operation on a model was refused.
DjlError RefusedError(const serving::Reason& reason) {
  if (const auto* not_ready = std::get_if<serving::ModelNotReady>(&reason)) {
    return {503, "ServiceUnavailableException",
            "Model or workflow is not ready: " + not_ready->name};
  }
  return MakeDjlError(reason);
}

// The handlers' common part; lives as long as the routes.
class ManagementService : public std::enable_shared_from_this<ManagementService> {
 public:
  ManagementService(ModelManager& manager, const serving::ModelRepository& models)
      : manager_(manager), models_(models) {}

  void Register(const Request& request, const ResponderPtr& responder);
  void RefuseWorkflow(const Request& request, const ResponderPtr& responder) const;
  void List(const Request& request, const ResponderPtr& responder) const;
  void Describe(const Request& request, const ResponderPtr& responder) const;
  void Scale(const Request& request, const ResponderPtr& responder);
  void Unregister(const Request& request, const ResponderPtr& responder);

 private:
  // The sentences about a model's versions after they are scaled.
  std::string ScaledText(const std::string& name, const std::string& version) const;

  ModelManager& manager_;
  const serving::ModelRepository& models_;
};

std::string NameIn(const Request& request) { return *request.PathParameter("model"); }

std::string VersionIn(const Request& request) {
  const std::string* version = request.PathParameter("version");
  return version == nullptr ? "" : *version;
}

void SendStatus(const ResponderPtr& responder, int status, std::string text) {
  SendDjlJson(responder, status, Json::MakeObject({{"status", std::move(text)}}));
}

// Answers at an operation's end: with the sentence, or with the error.
ModelManager::Done AnswerWhenDone(ResponderPtr responder, std::function<std::string()> text) {
  return [responder = std::move(responder), text = std::move(text)](const Status& status) {
    if (!status.ok()) return SendDjlError(responder, LoadError(status));
    SendStatus(responder, 200, text());
  };
}

void ManagementService::Register(const Request& request, const ResponderPtr& responder) {
  const auto parameters = ManagementParameters::Read(request);
  auto registration = parameters.ok() ? ReadRegistration(*parameters)
                                      : Result<serving::Registration>(parameters.status());
  if (!registration.ok()) {
    return SendDjlError(responder, MakeDjlError(registration.status()));
  }
  if (registration->name.empty()) registration->name = serving::ModelNameOfUrl(registration->url);
  const std::string name = registration->name;
  const bool synchronous = parameters->Flag("synchronous", true);
  ModelManager::Done done = [](const Status&) {};
  if (synchronous) {
    done =
        AnswerWhenDone(responder, [name] { return fmt::format("Model \"{}\" registered.", name); });
  }
  const auto added = manager_.Register(
      std::move(*registration),
      synchronous ? ModelManager::OnFailure::kForget : ModelManager::OnFailure::kKeepFailed,
      std::move(done));
  if (!added.ok()) return SendDjlError(responder, MakeDjlError(added.reason()));
  if (synchronous) return;
  SendStatus(responder, 202, fmt::format("Model \"{}\" registration scheduled.", name));
}

void ManagementService::RefuseWorkflow(const Request& /*request*/,
                                       const ResponderPtr& responder) const {
  SendDjlError(responder,
               {400, "BadWorkflowException",
                "workflows of several models cannot be served in this build; register each "
                "model by POST /models"});
}

void ManagementService::List(const Request& request, const ResponderPtr& responder) const {
  const auto parameters = ManagementParameters::Read(request);
  if (!parameters.ok()) {
    return SendDjlError(responder, MakeDjlError(parameters.status()));
  }
  const auto limit = parameters->Number("limit", kMaxPage);
  const auto first = parameters->Number("next_page_token", 0);
  for (const auto* number : {&limit, &first}) {
    if (!number->ok()) {
      return SendDjlError(responder, MakeDjlError(number->status()));
    }
  }
  const Page page = {.first = std::max<int64_t>(0, *first),
                     .limit = *limit < 0 ? kMaxPage : std::min(*limit, kMaxPage)};
  const bool workflows = request.path.starts_with("/workflows");
  SendDjlJson(
      responder, 200,
      workflows ? ListWorkflowsJson(models_.List(), page) : ListModelsJson(models_.List(), page));
}

void ManagementService::Describe(const Request& request, const ResponderPtr& responder) const {
  const std::string name = NameIn(request);
  const auto versions = models_.Versions(name, VersionIn(request));
  if (versions.empty()) {
    return SendDjlError(responder, {404, kModelNotFound, "Workflow not found: " + name});
  }
  SendDjlJson(responder, 200, DescribeModelsJson(versions));
}

void ManagementService::Scale(const Request& request, const ResponderPtr& responder) {
  const auto parameters = ManagementParameters::Read(request);
  const auto change = parameters.ok() ? ReadWorkerChange(*parameters)
                                      : Result<ModelManager::WorkerChange>(parameters.status());
  if (!change.ok()) return SendDjlError(responder, MakeDjlError(change.status()));
  const std::string name = NameIn(request);
  const std::string version = VersionIn(request);
  const auto refused = manager_.Scale(
      name, version, *change, AnswerWhenDone(responder, [self = shared_from_this(), name, version] {
        return self->ScaledText(name, version);
      }));
  if (refused) SendDjlError(responder, RefusedError(*refused));
}

std::string ManagementService::ScaledText(const std::string& name,
                                          const std::string& version) const {
  std::string text;
  for (const auto& entry : models_.Versions(name, version)) {
    if (entry.model == nullptr) continue;
    const serving::PoolOptions pool = entry.model->pool_options();
    if (!text.empty()) text += "\n";
    text += fmt::format(
        "Workflow \"{}\" worker scaled. New Worker configuration min workers:{} max workers:{}",
        name, pool.min_workers, pool.max_workers);
  }
  return text;
}

void ManagementService::Unregister(const Request& request, const ResponderPtr& responder) {
  const std::string name = NameIn(request);
  const auto refused =
      manager_.Unregister(name, VersionIn(request), AnswerWhenDone(responder, [name] {
                            return fmt::format("Model or workflow \"{}\" unregistered", name);
                          }));
  if (refused) SendDjlError(responder, RefusedError(*refused));
}

}  // namespace

void RegisterManagementRoutes(http::Router& router, ModelManager& manager,
                              const serving::ModelRepository& models) {
  const auto service = std::make_shared<ManagementService>(manager, models);
  const auto call = [service](auto method) {
    return [service, method](const Request& request, const ResponderPtr& responder) {
      ((*service).*method)(request, responder);
    };
  };
  const auto add = [&router](const char* method, const std::string& path, http::Handler handler) {
    router.Add(method, path, std::move(handler), http::RouteKind::kManagement);
  };
  add("POST", "/models", call(&ManagementService::Register));
  add("POST", "/workflows", call(&ManagementService::RefuseWorkflow));
  for (const std::string root : {"/models", "/workflows"}) {
    add("GET", root, call(&ManagementService::List));
    for (const char* rest : {"/{model}", "/{model}/{version}"}) {
      add("GET", root + rest, call(&ManagementService::Describe));
      add("PUT", root + rest, call(&ManagementService::Scale));
      add("DELETE", root + rest, call(&ManagementService::Unregister));
    }
  }
}

}  // namespace dray::api
