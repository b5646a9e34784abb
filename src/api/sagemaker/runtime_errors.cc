#include "api/sagemaker/runtime_errors.h"

#include <fmt/format.h>

#include <utility>

#include "base/parse/json.h"

namespace dray::api {
namespace {

http::Response MakeResponse(int status, std::string_view type, const Json& body) {
  http::Response response;
  response.head.status = status;
  response.head.headers.Add("Content-Type", "application/json");
  response.head.headers.Add("x-amzn-ErrorType", std::string(type));
  response.body = body.Dump();
  return response;
}

// What AWS calls an error of this status.
std::string_view TypeOf(int status) {
  switch (status) {
    case 401:
      return "AccessDeniedException";
    case 404:
    case 405:
      return "UnknownOperationException";
    case 503:
      return "ServiceUnavailable";
    default:
      return status >= 500 ? "InternalFailure" : "ValidationError";
  }
}

}  // namespace

http::Response ToResponse(const RuntimeError& error) {
  return MakeResponse(error.status, error.type, Json::MakeObject({{"Message", error.message}}));
}

http::Response ToRuntimeError(const http::Response& of_container, std::string_view endpoint) {
  constexpr int kModelError = 424;
  const int status = of_container.head.status;
  const std::string& body = of_container.body;
  if (status == 503) return ToResponse(RuntimeError{503, "ServiceUnavailable", body});
  const bool of_client = status < 500;
  const std::string message = fmt::format(
      "Received {} error ({}) from primary with message \"{}\". See the server's log for more "
      "information.",
      of_client ? "client" : "server", status, body);
  return MakeResponse(
      kModelError, "ModelError",
      Json::MakeObject(
          {{"ErrorCode", of_client ? "CLIENT_ERROR_FROM_MODEL" : "INTERNAL_FAILURE_FROM_MODEL"},
           {"LogStreamArn",
            fmt::format("arn:aws:logs:local:000000000000:log-group:/aws/sagemaker/Endpoints/{}",
                        endpoint)},
           {"Message", message},
           {"OriginalMessage", body},
           {"OriginalStatusCode", status}}));
}

bool IsRuntimePath(std::string_view path) { return path.starts_with("/endpoints/"); }

http::Response MakeRuntimeServerError(int status, const std::string& message) {
  http::Response response = ToResponse(RuntimeError{status, TypeOf(status), message});
  response.head.persistence = http::Persistence::kClose;
  return response;
}

}  // namespace dray::api
