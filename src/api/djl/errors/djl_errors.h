// Errors as DJLServing answers them: a status line, and a body that says it again with the name of
// its exception, which clients match on.
#pragma once

#include <string>
#include <string_view>

#include "http/response.h"
#include "serving/reasons.h"

namespace dray::api {

// Of which errors an operator may change the status (api/djl/errors/error_policy.h).
enum class ErrorKind {
  kOther,       // none of these
  kBadRequest,  // the model cannot read the request, or was too slow
  kThrottle,    // the model's queue is full
  kWlm,         // the model takes no requests
  kServer,      // the model failed
};

struct DjlError {
  int status = 500;
  // DJLServing's exception class.
  std::string_view type;
  std::string message;
  ErrorKind kind = ErrorKind::kOther;
};

// In DJLServing's words, with the names that its requests have for parameters.
DjlError MakeDjlError(const serving::Reason& reason);
// For errors that are known by their status only: those of the HTTP layer.
DjlError MakeDjlError(int status, std::string message);

// {"code": ..., "type": ..., "message": ...}, pretty, closing the connection, without a request id.
http::Response ToResponse(const DjlError& error);

}  // namespace dray::api
