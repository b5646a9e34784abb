// Errors as SageMaker's runtime API answers them. Its clients take an error's name from the header x-amzn-ErrorType
// and its members from the body.
#pragma once

#include <string>
#include <string_view>
#include <utility>

#include "http/response.h"

namespace dray::api {

struct RuntimeError {
  int status = 500;
  // Such as "ValidationError".
  std::string_view type;
  std::string message;
};

inline RuntimeError ValidationError(std::string message) {
  return {400, "ValidationError", std::move(message)};
}

http::Response ToResponse(const RuntimeError& error);

// What SageMaker makes of an error that a model's container answers: ModelError, which holds the container's status
// and body, and is not retried. A container that has no room (503) has computed nothing, so that is ServiceUnavailable,
// which clients retry.
http::Response ToRuntimeError(const http::Response& of_container, std::string_view endpoint);

// For http::ServerOptions::make_error, for requests of which IsRuntimePath is true: what the HTTP server refuses.
bool IsRuntimePath(std::string_view path);
http::Response MakeRuntimeServerError(int status, const std::string& message);

}  // namespace dray::api
