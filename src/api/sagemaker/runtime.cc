// Which model a request is for, and the headers that mean something to the front end. Everything else goes on to the
// container's route unchanged; the answer comes back through runtime_responder.cc.
#include "api/sagemaker/runtime.h"

#include <fmt/format.h>

#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <variant>

#include "api/reply.h"
#include "api/sagemaker/runtime_errors.h"
#include "api/sagemaker/runtime_responder.h"
#include "api/sagemaker/sessions.h"
#include "http/trace/request_id.h"
#include "serving/load/model_source.h"

namespace dray::api {
namespace {

// The variant of an endpoint that has only one, as SageMaker's SDK names it. Here: a model without a version.
constexpr std::string_view kOnlyVariant = "AllTraffic";

// "" without it.
std::string HeaderOf(const http::Request& request, std::string_view name) {
  const std::string* const header = request.headers.Find(name);
  return header == nullptr ? "" : *header;
}

class RuntimeService {
 public:
  RuntimeService(const serving::ModelRepository& models, http::Handler invoke)
      : models_(models), invoke_(std::move(invoke)) {}

  void Invoke(http::Request request, http::ResponderPtr client, Delivery delivery) const;

 private:
  bool IsKnown(std::string_view name) const { return !models_.Versions(name, "").empty(); }
  std::string ModelNameIn(const http::Request& request, const std::string& endpoint) const;

  const serving::ModelRepository& models_;
  const http::Handler invoke_;
};

// A model of the endpoint that the request names, or else the endpoint itself: it is a model of that name, or any name
// for the only model of the start.
std::string RuntimeService::ModelNameIn(const http::Request& request,
                                        const std::string& endpoint) const {
  for (const char* header :
       {"X-Amzn-SageMaker-Target-Model", "X-Amzn-SageMaker-Inference-Component",
        "X-Amzn-SageMaker-Target-Container-Hostname"}) {
    std::string name = HeaderOf(request, header);
    if (name.empty()) continue;
    // A target model is the path of its archive, such as "a/llama.tar.gz".
    return IsKnown(name) ? name : serving::ModelNameOfUrl(name);
  }
  return IsKnown(endpoint) ? endpoint : models_.OnlyName();
}

RuntimeError MakeFindError(const serving::Reason& reason, const std::string& endpoint,
                           const std::string& model) {
  if (const auto* not_ready = std::get_if<serving::ModelNotReady>(&reason)) {
    return {429, "ModelNotReadyException", "Model is not ready: " + not_ready->name};
  }
  const auto* unknown = std::get_if<serving::ModelUnknown>(&reason);
  if (unknown != nullptr && !unknown->version.empty()) {
    return ValidationError(
        fmt::format("Variant {} of model {} not found.", unknown->version, model));
  }
  if (model.empty() || model == endpoint) {
    return ValidationError(
        fmt::format("Endpoint {} of account 000000000000 not found; it must be the name of a model "
                    "of this server",
                    endpoint));
  }
  return ValidationError(fmt::format("Model {} of endpoint {} not found.", model, endpoint));
}

// What an endpoint of this server cannot do.
std::optional<RuntimeError> FindUnsupported(const http::Request& request, Delivery delivery) {
  if (!HeaderOf(request, "X-Amzn-SageMaker-Enable-Explanations").empty()) {
    return ValidationError("EnableExplanations is not accepted: the endpoint has no explainer");
  }
  if (delivery == Delivery::kStreamed && HeaderOf(request, kSessionHeader) == kNewSession) {
    return ValidationError(
        "SessionId NEW_SESSION is not accepted by InvokeEndpointWithResponseStream; open the "
        "session by InvokeEndpoint");
  }
  return std::nullopt;
}

// The type that a client of the response stream wants stands in a header of its own.
void SetAccept(http::Request& request) {
  const std::string wanted = HeaderOf(request, "X-Amzn-SageMaker-Accept");
  if (wanted.empty()) return;
  http::Headers headers;
  headers.Add("Accept", wanted);
  for (const auto& [name, value] : request.headers.fields()) {
    if (!http::EqualsIgnoreCase(name, "Accept")) headers.Add(name, value);
  }
  request.headers = std::move(headers);
}

void RuntimeService::Invoke(http::Request request, http::ResponderPtr client,
                            Delivery delivery) const {
  const std::string endpoint = *request.PathParameter("endpoint");
  RuntimeAnswer answer{.endpoint = endpoint,
                       .variant = std::string(kOnlyVariant),
                       .request_id = request.id.empty() ? http::RandomUuid() : request.id};
  const auto refuse = [&](const RuntimeError& error) {
    http::Response response = ToResponse(error);
    response.head.headers.Add("x-amzn-RequestId", answer.request_id);
    client->Send(std::move(response));
  };
  if (const auto unsupported = FindUnsupported(request, delivery)) return refuse(*unsupported);
  const std::string variant = HeaderOf(request, "X-Amzn-SageMaker-Target-Variant");
  const std::string name = ModelNameIn(request, endpoint);
  const auto model = models_.Find(name, variant == kOnlyVariant ? "" : variant);
  if (!model.ok()) return refuse(MakeFindError(model.reason(), endpoint, name));
  const std::string& version = (*model)->options().version;
  request.path_parameters = {{"model", name}};
  if (!version.empty()) {
    request.path_parameters.emplace_back("version", version);
    answer.variant = version;
  }
  SetAccept(request);
  invoke_(std::move(request), delivery == Delivery::kStreamed
                                  ? MakeEventStreamResponder(std::move(client), std::move(answer))
                                  : MakeRuntimeResponder(std::move(client), std::move(answer)));
}

}  // namespace

void RegisterRuntimeRoutes(http::Router& router, const serving::ModelRepository& models,
                           http::Handler invoke) {
  const auto service = std::make_shared<const RuntimeService>(models, std::move(invoke));
  const auto add = [&](const char* path, Delivery delivery) {
    router.Add("POST", path, [service, delivery](http::Request request, http::ResponderPtr client) {
      service->Invoke(std::move(request), std::move(client), delivery);
    });
  };
  add("/endpoints/{endpoint}/invocations", Delivery::kWhole);
  add("/endpoints/{endpoint}/invocations-response-stream", Delivery::kStreamed);
}

}  // namespace dray::api
