// From our reasons to DJLServing's exceptions and sentences.
#include "api/djl/errors/djl_errors.h"

#include <fmt/format.h>

#include <chrono>
#include <utility>

#include "api/djl/djl_parameters.h"
#include "base/parse/json.h"

namespace dray::api {
namespace {

constexpr std::string_view kBadRequest = "BadRequestException";
constexpr std::string_view kUnavailable = "ServiceUnavailableException";

DjlError OfStatus(const Status& status) {
  switch (status.code()) {
    case StatusCode::kInvalidArgument:
    case StatusCode::kUnsupported:
      return {400, kBadRequest, status.message(), ErrorKind::kBadRequest};
    case StatusCode::kNotFound:
      return {404, "ModelNotFoundException", status.message()};
    case StatusCode::kUnavailable:
    case StatusCode::kCancelled:
      return {503, kUnavailable, status.message(), ErrorKind::kWlm};
    case StatusCode::kDeadlineExceeded:
      return {400, "TranslateException", status.message(), ErrorKind::kBadRequest};
    case StatusCode::kResourceExhausted:
      return {507, "WlmOutOfMemoryException", status.message()};
    case StatusCode::kOk:
    case StatusCode::kCorrupt:
    case StatusCode::kIo:
    case StatusCode::kInternal:
      break;
  }
  return {500, "InternalServerException", status.message(), ErrorKind::kServer};
}

// The reasons for which DJLServing has exceptions and sentences of its own; all others are errors
// of the request.
struct DjlWording {
  const serving::Reason& reason;

  DjlError operator()(const Status& status) const { return OfStatus(status); }
  DjlError operator()(const serving::ModelUnknown& r) const {
    return {404, "ModelNotFoundException", "Model or workflow not found: " + r.name};
  }
  DjlError operator()(const serving::ModelNotReady& r) const {
    return {503, "WlmException", "Model is not ready: " + r.name, ErrorKind::kWlm};
  }
  DjlError operator()(const serving::ModelExists& r) const {
    const std::string version = r.version.empty() ? "" : ":" + r.version;
    return {409, kBadRequest, fmt::format("Workflow {}{} is already registered.", r.name, version)};
  }
  DjlError operator()(const serving::NoWorkers& r) const {
    return {503, "WlmShutdownException", "All model workers has been shutdown: " + r.model,
            ErrorKind::kWlm};
  }
  DjlError operator()(const serving::QueueFull& r) const {
    return {503, "WlmCapacityException", "Worker queue capacity exceeded for model: " + r.model,
            ErrorKind::kThrottle};
  }
  DjlError operator()(const serving::ModelDraining&) const {
    return {503, "WlmShutdownException", serving::ToStatus(reason).message(), ErrorKind::kWlm};
  }
  DjlError operator()(const serving::TimedOut& r) const {
    const auto seconds = std::chrono::duration_cast<std::chrono::seconds>(r.limit).count();
    return {400, "TranslateException", fmt::format("Time out in: {}", seconds),
            ErrorKind::kBadRequest};
  }
  template <typename Other>
  DjlError operator()(const Other&) const {
    return {400, kBadRequest, serving::ToStatus(reason, SpellDjlParameter).message(),
            ErrorKind::kBadRequest};
  }
};

}  // namespace

DjlError MakeDjlError(const serving::Reason& reason) {
  return std::visit(DjlWording{reason}, reason);
}

DjlError MakeDjlError(int status, std::string message) {
  switch (status) {
    case 401:
      return {status, "UnauthorizedException", std::move(message)};
    case 404:
      return {status, "ResourceNotFoundException", std::move(message)};
    case 405:
      return {status, "MethodNotAllowedException", std::move(message)};
    case 503:
      return {status, "ServiceUnavailableException", std::move(message)};
    default:
      break;
  }
  return {status, status >= 500 ? "InternalServerException" : kBadRequest, std::move(message)};
}

http::Response ToResponse(const DjlError& error) {
  http::Response response;
  response.head.status = error.status;
  if (error.status >= 400) response.head.persistence = http::Persistence::kClose;
  response.head.headers.Add("Content-Type", "application/json");
  const bool may_retry = error.status == 503 || error.kind == ErrorKind::kThrottle;
  if (may_retry) response.head.headers.Add("Retry-After", "1");
  response.body =
      Json::MakeObject({{"code", error.status}, {"type", error.type}, {"message", error.message}})
          .Dump(2) +
      "\n";
  return response;
}

}  // namespace dray::api
