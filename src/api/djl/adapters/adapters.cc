#include "api/djl/adapters/adapters.h"

#include <fmt/format.h>

#include <utility>

#include "api/djl/djl_answers.h"
#include "api/djl/errors/djl_errors.h"

namespace dray::api {
namespace {

using http::Request;
using http::ResponderPtr;

constexpr std::string_view kBadRequest = "BadRequestException";

void RefuseMethod(const Request& /*request*/, const ResponderPtr& responder) {
  SendDjlError(responder,
               MakeDjlError(405, "Requested method is not allowed, please refer to API document."));
}

// No model has LoRA, so all that differs is whether the model is there.
void RefuseAdapters(const serving::ModelRepository& models, const std::string& model,
                    const ResponderPtr& responder) {
  if (models.Versions(model, "").empty()) {
    return SendDjlError(responder,
                        {404, kBadRequest, fmt::format("The model {} was not found", model)});
  }
  SendDjlError(responder, {400, kBadRequest, "LoRA is not enabled."});
}

// The routes that end in /adapters... of one model, which `answer` finds.
void AddRoutes(http::Router& router, const std::string& root, const http::Handler& answer) {
  const auto add = [&](const char* method, const std::string& path, const http::Handler& handler) {
    router.Add(method, path, handler, http::RouteKind::kManagement);
  };
  const std::string one = root + "/{adapter}";
  for (const char* method : {"GET", "POST"}) add(method, root, answer);
  for (const char* method : {"GET", "DELETE"}) add(method, one, answer);
  add("POST", one + "/update", answer);
  // Without these, "adapters" would be taken for the version of a model.
  for (const char* method : {"PUT", "DELETE"}) add(method, root, RefuseMethod);
}

}  // namespace

void RegisterAdapterRoutes(http::Router& router, const serving::ModelRepository& models) {
  AddRoutes(router, "/models/{model}/adapters",
            [&models](const Request& request, const ResponderPtr& responder) {
              RefuseAdapters(models, *request.PathParameter("model"), responder);
            });
  AddRoutes(router, "/adapters", [&models](const Request&, const ResponderPtr& responder) {
    const std::string only = models.OnlyName();
    if (!only.empty()) return RefuseAdapters(models, only, responder);
    SendDjlError(responder, {400, kBadRequest,
                             "The adapter must be prefixed with a model unless there is only a "
                             "single startup model used."});
  });
}

std::string FindAdapter(const Request& request) {
  std::string of_header = FindDjlProperty(request, "X-Amzn-SageMaker-Adapter-Identifier");
  if (!of_header.empty()) return of_header;
  const std::string* const in_query = request.QueryParameter("adapter");
  return in_query == nullptr ? "" : *in_query;
}

Status UnknownAdapter(const std::string& adapter) {
  return {StatusCode::kInvalidArgument,
          fmt::format("adapter \"{}\" is not registered: adapters are not in this build; send the "
                      "request without it",
                      adapter.substr(0, 100))};
}

}  // namespace dray::api
