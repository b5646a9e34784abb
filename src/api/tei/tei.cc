#include "api/tei/tei.h"

#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <utility>

#include "api/encoder/encode_reply.h"
#include "api/encoder/numbers.h"
#include "api/tei/tei_calls.h"
#include "serving/encoder/encoder_service.h"

namespace dray::api {
namespace {

using serving::EncodeAnswer;
using serving::EncoderService;
using serving::Reason;

// {"error", "error_type"} with the status that Text Embeddings Inference has for it.
http::Response ToTeiError(const Reason& reason) {
  const Status status = serving::ToStatus(reason);
  int code = 424;
  std::string_view type = "backend";
  switch (status.code()) {
    case StatusCode::kInvalidArgument:
    case StatusCode::kDeadlineExceeded:
      code = 422, type = "validation";
      break;
    case StatusCode::kNotFound:
      code = 404, type = "validation";
      break;
    case StatusCode::kUnavailable:
    case StatusCode::kCancelled:
      code = 503, type = "unhealthy";
      break;
    default:
      break;
  }
  if (std::holds_alternative<serving::QueueFull>(reason)) code = 429, type = "overloaded";
  http::Response response = JsonAnswer(
      Json::MakeObject({{"error", status.message()}, {"error_type", Json(type)}}).Dump());
  response.head.status = code;
  if (code == 429 || code == 503) response.head.headers.Add("Retry-After", "1");
  return response;
}

// A route: how its body is read, what it needs, and how its answer is written.
struct Route {
  Result<TeiCall> (*read)(std::string_view body);
  // Why a model cannot answer; nothing: it can.
  std::optional<Status> (*refuse)(const EncoderService& encoder);
  std::string (*write)(const TeiCall& call, const EncodeAnswer& answer,
                       const EncoderService& encoder);
};

std::optional<Status> RefuseNothing(const EncoderService&) { return std::nullopt; }

std::optional<Status> NeedsClasses(const EncoderService& encoder) {
  if (encoder.limits().num_labels > 0) return std::nullopt;
  return Status(StatusCode::kUnsupported, "the model has no classes: it is not a classifier");
}

std::optional<Status> NeedsOneClass(const EncoderService& encoder) {
  if (encoder.limits().num_labels == 1) return std::nullopt;
  return Status(StatusCode::kUnsupported,
                "the model is not a re-ranker: these are classifiers with one label");
}

constexpr Route kEmbed = {ReadEmbed, RefuseNothing,
                          [](const TeiCall& call, const EncodeAnswer& answer,
                             const EncoderService&) { return WriteEmbed(call, answer); }};
constexpr Route kPredict = {
    ReadPredict, NeedsClasses,
    [](const TeiCall& call, const EncodeAnswer& answer, const EncoderService& encoder) {
      return WritePredict(call, answer, *encoder.classifier());
    }};
constexpr Route kRerank = {ReadRerank, NeedsOneClass,
                           [](const TeiCall& call, const EncodeAnswer& answer,
                              const EncoderService&) { return WriteRerank(call, answer); }};

class TeiService {
 public:
  TeiService(serving::ModelRepository& models, TaskQueue& tasks) : models_(models), tasks_(tasks) {}

  void Answer(const Route& route, http::Request& request,
              const http::ResponderPtr& responder) const {
    const auto refuse = [&](const Reason& reason) { responder->Send(ToTeiError(reason)); };
    const std::string* const named = request.QueryParameter("model");
    const auto model = models_.Find(named != nullptr ? *named : models_.OnlyName(), "");
    if (!model.ok()) return refuse(model.reason());
    if (const auto refusal = (*model)->RefuseUnread()) return refuse(*refusal);
    auto call = route.read(request.body);
    http::BodyLease lease = request.DropBody();
    if (!call.ok()) return refuse(call.status());
    const EncoderService* const encoder = (*model)->encoder();
    if (encoder != nullptr) {
      if (const auto refusal = route.refuse(*encoder)) return refuse(*refusal);
    }
    auto held = std::make_shared<TeiCall>(std::move(*call));
    const serving::EncodeCall encode = std::move(held->encode);
    StartEncoding({.responder = responder,
                   .tasks = tasks_,
                   // The model is there as long as its requests are.
                   .write =
                       [write = route.write, held, encoder](const EncodeAnswer& answer) {
                         return JsonAnswer(write(*held, answer, *encoder));
                       },
                   .refuse = ToTeiError,
                   .lease = std::move(lease)},
                  encode, **model);
  }

  void Enqueue(const Route& route, http::Request request, http::ResponderPtr responder) const {
    const TaskSize size = TaskSizeOf(request.body.size());
    auto shared = std::make_shared<http::Request>(std::move(request));
    tasks_.Add(size, [this, &route, shared, responder = std::move(responder)] {
      if (!responder->cancelled()) Answer(route, *shared, responder);
    });
  }

 private:
  serving::ModelRepository& models_;
  TaskQueue& tasks_;
};

}  // namespace

void RegisterTeiRoutes(http::Router& router, serving::ModelRepository& models, TaskQueue& tasks) {
  const auto service = std::make_shared<const TeiService>(models, tasks);
  const auto add = [&](const char* path, const Route& route) {
    router.Add("POST", path,
               [service, &route](http::Request request, http::ResponderPtr responder) {
                 service->Enqueue(route, std::move(request), std::move(responder));
               });
  };
  add("/embed", kEmbed);
  add("/predict", kPredict);
  add("/rerank", kRerank);
}

}  // namespace dray::api
