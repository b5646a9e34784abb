// The mapping from our codes to DJLServing's exceptions.
#include "api/errors.h"

#include "base/parse/json.h"

namespace dray::api {
namespace {

constexpr std::string_view kBadRequest = "BadRequestException";

ApiError Unavailable(Step step, std::string message) {
  switch (step) {
    case Step::kFindModel:
      return {503, "WlmException", std::move(message)};
    case Step::kSubmit:
      return {503, "WlmCapacityException", std::move(message)};
    case Step::kSubmitToDraining:
      return {503, "WlmShutdownException", std::move(message)};
    case Step::kGenerate:
      break;
  }
  return {503, "ServiceUnavailableException", std::move(message)};
}

}  // namespace

ApiError MakeApiError(const Status& status, Step step) {
  switch (status.code()) {
    case StatusCode::kInvalidArgument:
    case StatusCode::kUnsupported:
      return {400, kBadRequest, status.message()};
    case StatusCode::kNotFound:
      return {404, "ModelNotFoundException", status.message()};
    case StatusCode::kUnavailable:
      return Unavailable(step, status.message());
    case StatusCode::kCancelled:
      return {503, "ServiceUnavailableException", status.message()};
    case StatusCode::kDeadlineExceeded:
      return {400, "TranslateException", status.message()};
    case StatusCode::kResourceExhausted:
      return {507, "WlmOutOfMemoryException", status.message()};
    case StatusCode::kOk:
    case StatusCode::kCorrupt:
    case StatusCode::kIo:
    case StatusCode::kInternal:
      break;
  }
  return {500, "InternalServerException", status.message()};
}

ApiError MakeApiError(int status, std::string message) {
  switch (status) {
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

http::Response ToResponse(const ApiError& error) {
  http::Response response;
  response.head.status = error.status;
  response.head.persistence = http::Persistence::kClose;
  response.head.headers.Add("Content-Type", "application/json");
  if (error.status == 503) response.head.headers.Add("Retry-After", "1");
  response.body =
      Json::MakeObject({{"code", error.status}, {"type", error.type}, {"message", error.message}})
          .Dump(2) +
      "\n";
  return response;
}

}  // namespace dray::api
