#include "api/openai/openai_errors.h"

#include <utility>

#include "base/parse/json.h"

namespace dray::api {
namespace {

constexpr std::string_view kServerError = "server_error";

OpenAiError OfStatus(const Status& status) {
  switch (status.code()) {
    case StatusCode::kInvalidArgument:
    case StatusCode::kUnsupported:
    case StatusCode::kDeadlineExceeded:
      return {.status = 400, .message = status.message()};
    case StatusCode::kNotFound:
      return {
          .status = 404, .message = status.message(), .param = "model", .code = "model_not_found"};
    case StatusCode::kUnavailable:
    case StatusCode::kCancelled:
    case StatusCode::kResourceExhausted:
      return {.status = 503, .message = status.message(), .type = kServerError};
    case StatusCode::kOk:
    case StatusCode::kCorrupt:
    case StatusCode::kIo:
    case StatusCode::kInternal:
      break;
  }
  return {.status = 500, .message = status.message(), .type = kServerError};
}

}  // namespace

OpenAiError MakeOpenAiError(const serving::Reason& reason) {
  OpenAiError error = OfStatus(serving::ToStatus(reason));
  if (std::holds_alternative<serving::QueueFull>(reason)) {
    error.status = 429;
    error.type = "requests";
    error.code = "rate_limit_exceeded";
  }
  if (std::holds_alternative<serving::TextTooLong>(reason)) {
    error.param = "input";
    error.code = "context_length_exceeded";
  }
  return error;
}

http::Response ToResponse(const OpenAiError& error) {
  const auto or_null = [](std::string_view text) { return text.empty() ? Json() : Json(text); };
  http::Response response;
  response.head.status = error.status;
  response.head.headers.Add("Content-Type", "application/json");
  if (error.status == 429 || error.status == 503) response.head.headers.Add("Retry-After", "1");
  response.body = Json::MakeObject({{"error", Json::MakeObject({{"message", error.message},
                                                                {"type", Json(error.type)},
                                                                {"param", or_null(error.param)},
                                                                {"code", or_null(error.code)}})}})
                      .Dump();
  return response;
}

}  // namespace dray::api
