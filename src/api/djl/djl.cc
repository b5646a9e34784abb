// Routes, names and content types; generate_call.cc reads the body, djl_reply.cc answers.
#include "api/djl/djl.h"

#include <fmt/format.h>

#include <algorithm>
#include <random>
#include <utility>

#include "api/djl/djl_reply.h"
#include "api/errors.h"
#include "api/generate_call.h"
#include "api/task_queue.h"
#include "base/parse/json.h"

namespace dray::api {
namespace {

using serving::ModelRepository;
using serving::OutputFormat;

constexpr std::string_view kCustomAttributes = "X-Amzn-SageMaker-Custom-Attributes";

// A version 4 UUID.
std::string RandomRequestId() {
  thread_local std::mt19937_64 random{std::random_device{}()};
  const uint64_t high = (random() & 0xFFFFFFFFFFFF0FFFU) | 0x4000U;
  const uint64_t low = (random() & 0x3FFFFFFFFFFFFFFFU) | 0x8000000000000000U;
  return fmt::format("{:08x}-{:04x}-{:04x}-{:04x}-{:012x}", high >> 32, (high >> 16) & 0xFFFF,
                     high & 0xFFFF, low >> 48, low & 0xFFFFFFFFFFFFU);
}

// What DJLServing sends with every answer.
http::Headers CommonHeaders(const DjlOptions& options, const http::Request* request) {
  constexpr size_t kMaxIdBytes = 256;
  const std::string* id =
      request == nullptr ? nullptr : request->headers.Find(options.request_id_header);
  http::Headers headers;
  headers.Add("x-request-id", id == nullptr ? RandomRequestId() : id->substr(0, kMaxIdBytes));
  headers.Add("Pragma", "no-cache");
  headers.Add("Cache-Control", "no-cache; no-store, must-revalidate, private");
  headers.Add("Expires", "Thu, 01 Jan 1970 00:00:00 UTC");
  return headers;
}

void AddHeaders(http::Headers& to, const http::Headers& from) {
  for (const auto& [name, value] : from.fields()) to.Add(name, value);
}

// A property of the request as DJLServing sees it: a header, or a pair "name=value" among
// SageMaker's custom attributes.
std::optional<std::string> FindProperty(const http::Request& request, std::string_view name) {
  if (const std::string* header = request.headers.Find(name)) return *header;
  const std::string* attributes = request.headers.Find(kCustomAttributes);
  if (attributes == nullptr) return std::nullopt;
  std::string_view rest = *attributes;
  while (!rest.empty()) {
    const size_t end = std::min(rest.find(';'), rest.size());
    const std::string_view pair = rest.substr(0, end);
    rest.remove_prefix(std::min(end + 1, rest.size()));
    const size_t equals = pair.find('=');
    if (equals == std::string_view::npos) continue;
    if (http::EqualsIgnoreCase(pair.substr(0, equals), name)) {
      return std::string(pair.substr(equals + 1));
    }
  }
  return std::nullopt;
}

std::string FirstOf(const std::string* query, const std::optional<std::string>& property) {
  if (query != nullptr && !query->empty()) return *query;
  return property.value_or("");
}

Result<GenerateCall> ReadCall(http::Request& request) {
  const std::string* header = request.headers.Find("Content-Type");
  const std::string type = header == nullptr ? "" : *header;
  // Parameters such as charset do not matter: JSON is UTF-8, and so must text be.
  std::string_view media = std::string_view(type).substr(0, type.find(';'));
  while (media.ends_with(' ')) media.remove_suffix(1);
  if (media.empty() || http::EqualsIgnoreCase(media, "application/json")) {
    if (request.body.empty()) {
      return Status(StatusCode::kInvalidArgument,
                    "the request has no body; send {\"inputs\": \"some text\"}");
    }
    return ParseGenerateCall(request.body);
  }
  if (http::EqualsIgnoreCase(media, "text/plain")) return MakeTextCall(std::move(request.body));
  return Status(StatusCode::kUnsupported,
                fmt::format("Content-Type \"{}\" is not accepted; send application/json or "
                            "text/plain",
                            type.substr(0, 100)));
}

// The handlers' common part; lives as long as the routes.
class DjlService {
 public:
  DjlService(ModelRepository& models, DjlOptions options)
      : models_(models), options_(std::move(options)), tasks_(options_.num_threads) {}

  void Ping(const http::Request& request, const http::ResponderPtr& responder) const;
  void Describe(const http::Request& request, const http::ResponderPtr& responder) const;
  // Reads and submits on a thread of the queue.
  void Predict(http::Request request, http::ResponderPtr responder);

 private:
  void PredictNow(http::Request& request, const http::ResponderPtr& responder) const;
  void SendError(const http::Request& request, const http::ResponderPtr& responder,
                 const ApiError& error) const;
  void SendJson(const http::Request& request, const http::ResponderPtr& responder, int status,
                const Json& body) const;

  ModelRepository& models_;
  const DjlOptions options_;
  TaskQueue tasks_;
};

void DjlService::SendJson(const http::Request& request, const http::ResponderPtr& responder,
                          int status, const Json& body) const {
  http::Response response;
  response.head.status = status;
  if (status >= 400) response.head.persistence = http::Persistence::kClose;
  response.head.headers.Add("Content-Type", "application/json");
  AddHeaders(response.head.headers, CommonHeaders(options_, &request));
  response.body = body.Dump(2) + "\n";
  responder->Send(std::move(response));
}

void DjlService::SendError(const http::Request& request, const http::ResponderPtr& responder,
                           const ApiError& error) const {
  http::Response response = ToResponse(error);
  AddHeaders(response.head.headers, CommonHeaders(options_, &request));
  responder->Send(std::move(response));
}

void DjlService::Ping(const http::Request& request, const http::ResponderPtr& responder) const {
  Json body = Json::MakeObject();
  int status = 200;
  for (const serving::ModelInfo& info : models_.List()) {
    std::string_view word = "Healthy";
    if (info.state == serving::ModelState::kPending) {
      word = "PENDING";
      if (status == 200 && options_.allow_multi_status) status = 207;
    } else if (info.state == serving::ModelState::kFailed) {
      word = "FAILED";
      status = 500;
    }
    body.Set(info.name, Json::MakeObject({{"status", word}}));
  }
  SendJson(request, responder, status, body);
}

void DjlService::Describe(const http::Request& request, const http::ResponderPtr& responder) const {
  SendJson(request, responder, 200, Json::MakeObject());
}

void DjlService::Predict(http::Request request, http::ResponderPtr responder) {
  tasks_.Add([this, request = std::make_shared<http::Request>(std::move(request)),
              responder = std::move(responder)] {
    // A client that has left while its request waited here has no use for an answer.
    if (!responder->cancelled()) PredictNow(*request, responder);
  });
}

void DjlService::PredictNow(http::Request& request, const http::ResponderPtr& responder) const {
  const std::string* in_path = request.PathParameter("model");
  std::string name = in_path != nullptr ? *in_path
                                        : FirstOf(request.QueryParameter("model_name"),
                                                  FindProperty(request, "model_name"));
  if (name.empty()) name = models_.OnlyName();
  if (name.empty()) {
    return SendError(request, responder,
                     {400, "BadRequestException", "Parameter model_name is required."});
  }
  const std::string* version_in_path = request.PathParameter("version");
  const std::string version = version_in_path != nullptr
                                  ? *version_in_path
                                  : FirstOf(request.QueryParameter("model_version"),
                                            FindProperty(request, "model_version"));
  const auto model = models_.Find(name, version);
  if (!model.ok()) {
    return SendError(request, responder, MakeApiError(model.status(), Step::kFindModel));
  }
  auto call = ReadCall(request);
  request.DropBody();
  if (!call.ok()) {
    ApiError error = MakeApiError(call.status(), Step::kSubmit);
    if (call.status().code() == StatusCode::kUnsupported) error.status = 415;
    return SendError(request, responder, error);
  }

  const serving::ModelOptions& options = (*model)->options();
  const bool stream = call->stream.value_or(options.stream_by_default);
  OutputFormat format = call->output_format.value_or(options.output_format);
  if (format == OutputFormat::kByRequest) {
    format = stream ? OutputFormat::kJsonLines : OutputFormat::kJson;
  }
  if (format != OutputFormat::kJson && (call->inputs.size() > 1 || call->request.params.n > 1)) {
    return SendError(request, responder,
                     {400, "BadRequestException",
                      "a streamed answer has one sequence: send one input, and neither \"n\" nor "
                      "\"best_of\" above 1, or set \"stream\" to false"});
  }
  DjlReply::Start({.responder = responder,
                   .call = std::move(call).value(),
                   .format = format,
                   .headers = CommonHeaders(options_, &request)},
                  **model);
}

}  // namespace

void RegisterDjlRoutes(http::Router& router, ModelRepository& models, const DjlOptions& options) {
  const auto service = std::make_shared<DjlService>(models, options);
  const auto ping = [service](const http::Request& request, const http::ResponderPtr& responder) {
    service->Ping(request, responder);
  };
  const auto describe = [service](const http::Request& request,
                                  const http::ResponderPtr& responder) {
    service->Describe(request, responder);
  };
  const auto predict = [service](http::Request request, http::ResponderPtr responder) {
    service->Predict(std::move(request), std::move(responder));
  };
  router.Add("*", "/ping", ping, http::RouteKind::kHealthCheck);
  router.Add("OPTIONS", "/", describe);
  for (const char* path :
       {"/invocations", "/predictions/{model}", "/predictions/{model}/{version}"}) {
    router.Add("POST", path, predict);
    router.Add("OPTIONS", path, describe);
  }
}

http::Response MakeDjlServerError(const DjlOptions& options, int status, const std::string& message,
                                  const http::Request* request) {
  http::Response response = ToResponse(MakeApiError(status, message));
  AddHeaders(response.head.headers, CommonHeaders(options, request));
  return response;
}

}  // namespace dray::api
