// Routes, names and content types; djl_call.cc reads the body, djl_writer.cc writes the answer.
#include "api/djl/djl.h"

#include <fmt/format.h>

#include <algorithm>
#include <map>
#include <memory>
#include <new>
#include <utility>

#include "api/djl/djl_answers.h"
#include "api/djl/djl_call.h"
#include "api/djl/djl_errors.h"
#include "api/djl/djl_form.h"
#include "api/djl/djl_writer.h"
#include "api/reply.h"
#include "base/parse/json.h"
#include "http/encoding/form.h"

namespace dray::api {
namespace {

using serving::ModelRepository;
using settings::OutputFormat;

Result<GenerateCall> ReadCall(http::Request& request) {
  const std::string* header = request.headers.Find("Content-Type");
  const std::string type = header == nullptr ? "" : *header;
  if (http::IsForm(type)) {
    auto form = http::ParseForm(type, request.body);
    if (!form.ok()) return form.status();
    return MakeDjlFormCall(std::move(form).value());
  }
  // Parameters such as charset do not matter: JSON is UTF-8, and so must text be.
  const std::string_view media = http::MediaType(type);
  if (media.empty() || http::EqualsIgnoreCase(media, "application/json")) {
    if (request.body.empty()) {
      return Status(StatusCode::kInvalidArgument,
                    "the request has no body; send {\"inputs\": \"some text\"}");
    }
    return ParseDjlCall(request.body);
  }
  if (http::EqualsIgnoreCase(media, "text/plain")) return MakeDjlTextCall(std::move(request.body));
  return Status(
      StatusCode::kUnsupported,
      fmt::format("Content-Type \"{}\" is not accepted; send application/json, text/plain "
                  "or a form",
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

// As DJLServing's /ping shows the state of a name. Of several versions the worst counts; so the order
// of these is from good to bad.
enum class Health { kUnloading, kHealthy, kPending, kFailed };

Health HealthOf(serving::ModelState state) {
  switch (state) {
    case serving::ModelState::kPending:
    case serving::ModelState::kLoading:
      return Health::kPending;
    case serving::ModelState::kReady:
      return Health::kHealthy;
    case serving::ModelState::kFailed:
      return Health::kFailed;
    case serving::ModelState::kUnloading:
      break;
  }
  return Health::kUnloading;
}

std::string_view NameOf(Health health) {
  constexpr std::string_view kNames[] = {"UNLOADING", "Healthy", "PENDING", "FAILED"};
  return kNames[static_cast<size_t>(health)];
}

// The handlers' common part; lives as long as the routes.
class DjlService : public std::enable_shared_from_this<DjlService> {
 public:
  DjlService(ModelRepository& models, TaskQueue& tasks, const DjlOptions& options,
             LoadMissing load_missing)
      : models_(models), tasks_(tasks), options_(options), load_missing_(std::move(load_missing)) {}

  void Ping(const http::ResponderPtr& responder) const;
  // Reads and submits on a thread of the queue.
  void Predict(std::shared_ptr<http::Request> request, http::ResponderPtr responder);

 private:
  // Whether a model that is missing may be loaded first.
  enum class Missing { kLoad, kRefuse };
  void Enqueue(std::shared_ptr<http::Request> request, http::ResponderPtr responder,
               Missing missing);
  void PredictNow(const std::shared_ptr<http::Request>& request,
                  const http::ResponderPtr& responder, Missing missing);
  void LoadFirst(const MissingModel& model, const std::shared_ptr<http::Request>& request,
                 const http::ResponderPtr& responder);
  void Generate(http::Request& request, const http::ResponderPtr& responder,
                serving::ServedModel& model) const;

  ModelRepository& models_;
  TaskQueue& tasks_;
  const DjlOptions options_;
  const LoadMissing load_missing_;
};

void DjlService::Ping(const http::ResponderPtr& responder) const {
  // No probe may send traffic before every model of the start is there.
  int status = models_.StartUpDone() || !options_.wait_model_loading ? 200 : 503;
  std::map<std::string, Health> healths;
  for (const serving::ModelInfo& info : models_.List()) {
    const Health health = HealthOf(info.state);
    const auto known = healths.try_emplace(info.name, health).first;
    known->second = std::max(known->second, health);
    if (health == Health::kPending && status == 200 && options_.allow_multi_status) status = 207;
    if (health == Health::kFailed) status = 500;
  }
  Json body = Json::MakeObject();
  for (const auto& [name, health] : healths) {
    body.Set(name, Json::MakeObject({{"status", NameOf(health)}}));
  }
  SendDjlJson(responder, status, body);
}

void DjlService::Predict(std::shared_ptr<http::Request> request, http::ResponderPtr responder) {
  Enqueue(std::move(request), std::move(responder), Missing::kLoad);
}

void DjlService::Enqueue(std::shared_ptr<http::Request> request, http::ResponderPtr responder,
                         Missing missing) {
  // 64 KiB are read and tokenized in 10 or 20 ms.
  const TaskSize size =
      request->body.size() <= http::kMaxSmallBodyBytes ? TaskSize::kSmall : TaskSize::kLarge;
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
  const std::string* in_path = request->PathParameter("model");
  std::string name = in_path != nullptr ? *in_path : FindDjlProperty(*request, "model_name");
  if (name.empty()) name = FindFormProperty(*request, "model_name");
  if (name.empty()) name = models_.OnlyName();
  if (name.empty()) {
    return SendDjlError(responder,
                        {400, "BadRequestException", "Parameter model_name is required."});
  }
  const std::string* version_in_path = request->PathParameter("version");
  std::string version =
      version_in_path != nullptr ? *version_in_path : FindDjlProperty(*request, "model_version");
  if (version.empty()) version = FindFormProperty(*request, "model_version");
  const auto model = models_.Find(name, version);
  if (model.ok()) return Generate(*request, responder, **model);
  const bool unknown = std::holds_alternative<serving::ModelUnknown>(model.reason());
  if (unknown && missing == Missing::kLoad && load_missing_ != nullptr) {
    return LoadFirst({name, version, FindDjlProperty(*request, "model_url")}, request, responder);
  }
  SendDjlError(responder, MakeDjlError(model.reason()));
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

void DjlService::Generate(http::Request& request, const http::ResponderPtr& responder,
                          serving::ServedModel& model) const {
  auto call = ReadCall(request);
  http::BodyLease lease = request.DropBody();
  if (!call.ok()) {
    DjlError error = MakeDjlError(call.status());
    // Only a wrong Content-Type is unsupported here.
    if (call.status().code() == StatusCode::kUnsupported) error.status = 415;
    return SendDjlError(responder, error);
  }

  // A text is never longer than the JSON that it came in, so this only gives back.
  lease.Resize(TextBytes(*call));
  const serving::ModelOptions& options = model.options();
  const bool stream = call->stream.value_or(options.stream_by_default);
  OutputFormat format = call->output_format.value_or(options.output_format);
  if (format == OutputFormat::kByRequest) {
    format = stream ? OutputFormat::kJsonLines : OutputFormat::kJson;
  }
  if (format != OutputFormat::kJson && (call->inputs.size() > 1 || call->request.params.n > 1)) {
    return SendDjlError(
        responder, {400, "BadRequestException",
                    "a streamed answer has one sequence: send one input, and neither \"n\" nor "
                    "\"best_of\" above 1, or set \"stream\" to false"});
  }
  Reply::Start({.responder = responder,
                .call = std::move(call).value(),
                .delivery = format == OutputFormat::kJson ? Delivery::kWhole : Delivery::kStreamed,
                .writer = MakeDjlWriter(format),
                .text_lease = std::move(lease)},
               model);
}

}  // namespace

void RegisterDjlRoutes(http::Router& router, ModelRepository& models, TaskQueue& tasks,
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
    service->Predict(std::make_shared<http::Request>(std::move(request)), std::move(responder));
  };
  router.Add("*", "/ping", ping, http::RouteKind::kHealthCheck);
  router.Add("OPTIONS", "/", describe);
  for (const char* path : {"/invocations", "/predictions/{model}", "/predictions/{model}/{version}",
                           "/models/{model}/invoke", "/models/{model}/{version}/invoke"}) {
    router.Add("POST", path, predict);
    router.Add("OPTIONS", path, describe);
  }
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
