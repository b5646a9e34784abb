// Routes, names and content types; djl_call.cc reads the body, djl_writer.cc writes the answer.
#include "api/djl/djl.h"

#include <fmt/format.h>

#include <algorithm>
#include <new>
#include <random>
#include <utility>

#include "api/djl/djl_call.h"
#include "api/djl/djl_errors.h"
#include "api/djl/djl_writer.h"
#include "api/reply.h"
#include "base/parse/json.h"

namespace dray::api {
namespace {

using serving::ModelRepository;
using settings::OutputFormat;

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
    return ParseDjlCall(request.body);
  }
  if (http::EqualsIgnoreCase(media, "text/plain")) return MakeDjlTextCall(std::move(request.body));
  return Status(StatusCode::kUnsupported,
                fmt::format("Content-Type \"{}\" is not accepted; send application/json or "
                            "text/plain",
                            type.substr(0, 100)));
}

// Of everything in the call that can be long.
size_t TextBytes(const GenerateCall& call) {
  size_t bytes = 0;
  for (const auto* texts :
       {&call.inputs, &call.request.bad_words, &call.request.params.stop_strings}) {
    for (const std::string& text : *texts) bytes += text.size();
  }
  return bytes;
}

// As DJLServing's /ping shows it, which has no word for a model that is being unloaded.
std::string_view StateName(serving::ModelState state) {
  switch (state) {
    case serving::ModelState::kPending:
    case serving::ModelState::kLoading:
      return "PENDING";
    case serving::ModelState::kReady:
      return "Healthy";
    case serving::ModelState::kFailed:
      return "FAILED";
    case serving::ModelState::kUnloading:
      break;
  }
  return "UNLOADING";
}

// The handlers' common part; lives as long as the routes.
class DjlService : public std::enable_shared_from_this<DjlService> {
 public:
  DjlService(ModelRepository& models, TaskQueue& tasks, DjlOptions options)
      : models_(models), tasks_(tasks), options_(std::move(options)) {}

  void Ping(const http::Request& request, const http::ResponderPtr& responder) const;
  void Describe(const http::Request& request, const http::ResponderPtr& responder) const;
  // Reads and submits on a thread of the queue.
  void Predict(http::Request request, http::ResponderPtr responder);

 private:
  void PredictNow(http::Request& request, const http::ResponderPtr& responder) const;
  void SendError(const http::Request& request, const http::ResponderPtr& responder,
                 const DjlError& error) const;
  void SendJson(const http::Request& request, const http::ResponderPtr& responder, int status,
                const Json& body) const;

  ModelRepository& models_;
  TaskQueue& tasks_;
  const DjlOptions options_;
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
                           const DjlError& error) const {
  http::Response response = ToResponse(error);
  AddHeaders(response.head.headers, CommonHeaders(options_, &request));
  responder->Send(std::move(response));
}

void DjlService::Ping(const http::Request& request, const http::ResponderPtr& responder) const {
  Json body = Json::MakeObject();
  // No probe may send traffic before every model of the start is there.
  int status = models_.StartUpDone() ? 200 : 503;
  for (const serving::ModelInfo& info : models_.List()) {
    body.Set(info.name, Json::MakeObject({{"status", StateName(info.state)}}));
    const bool waits =
        info.state == serving::ModelState::kPending || info.state == serving::ModelState::kLoading;
    if (waits && status == 200 && options_.allow_multi_status) status = 207;
    if (info.state == serving::ModelState::kFailed) status = 500;
  }
  SendJson(request, responder, status, body);
}

void DjlService::Describe(const http::Request& request, const http::ResponderPtr& responder) const {
  SendJson(request, responder, 200, Json::MakeObject());
}

void DjlService::Predict(http::Request request, http::ResponderPtr responder) {
  // 64 KiB are read and tokenized in 10 or 20 ms.
  const TaskSize size =
      request.body.size() <= http::kMaxSmallBodyBytes ? TaskSize::kSmall : TaskSize::kLarge;
  tasks_.Add(size, [self = shared_from_this(),
                    request = std::make_shared<http::Request>(std::move(request)),
                    responder = std::move(responder)] {
    // A client that has left while its request waited here has no use for an answer.
    if (responder->cancelled()) return;
    try {
      self->PredictNow(*request, responder);
    } catch (const std::bad_alloc&) {
      request->DropBody();
      self->SendError(
          *request, responder,
          MakeDjlError(503, "the server has no memory left for this request; try again"));
    }
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
    return SendError(request, responder, MakeDjlError(model.reason()));
  }
  auto call = ReadCall(request);
  http::BodyLease lease = request.DropBody();
  if (!call.ok()) {
    DjlError error = MakeDjlError(call.status());
    // Only a wrong Content-Type is unsupported here.
    if (call.status().code() == StatusCode::kUnsupported) error.status = 415;
    return SendError(request, responder, error);
  }

  // A text is never longer than the JSON that it came in, so this only gives back.
  lease.Resize(TextBytes(*call));
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
  Reply::Start({.responder = responder,
                .call = std::move(call).value(),
                .delivery = format == OutputFormat::kJson ? Delivery::kWhole : Delivery::kStreamed,
                .writer = MakeDjlWriter(format, CommonHeaders(options_, &request)),
                .text_lease = std::move(lease)},
               **model);
}

}  // namespace

void RegisterDjlRoutes(http::Router& router, ModelRepository& models, TaskQueue& tasks,
                       const DjlOptions& options) {
  const auto service = std::make_shared<DjlService>(models, tasks, options);
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
  http::Response response = ToResponse(MakeDjlError(status, message));
  AddHeaders(response.head.headers, CommonHeaders(options, request));
  return response;
}

}  // namespace dray::api
