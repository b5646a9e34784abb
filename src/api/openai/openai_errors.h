// Errors as OpenAI's API answers them.
#pragma once

#include <string>
#include <string_view>

#include "http/response.h"
#include "serving/reasons.h"

namespace dray::api {

// {"error": {"message", "type", "param", "code"}}; "" stands for null.
struct OpenAiError {
  int status = 400;
  std::string message;
  std::string_view type = "invalid_request_error";
  std::string_view param = "";
  std::string_view code = "";
};

http::Response ToResponse(const OpenAiError& error);
OpenAiError MakeOpenAiError(const serving::Reason& reason);

}  // namespace dray::api
