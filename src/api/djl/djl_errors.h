// Errors as DJLServing answers them: a status line, and a body that says it again with the name of
// its exception, which clients match on.
#pragma once

#include <string>
#include <string_view>

#include "http/response.h"
#include "serving/reasons.h"

namespace dray::api {

struct DjlError {
  int status = 500;
  // DJLServing's exception class.
  std::string_view type;
  std::string message;
};

// In DJLServing's words, with the names that its requests have for parameters.
DjlError MakeDjlError(const serving::Reason& reason);
// For errors that are known by their status only: those of the HTTP layer.
DjlError MakeDjlError(int status, std::string message);

// {"code": ..., "type": ..., "message": ...}, pretty, closing the connection, without a request id.
http::Response ToResponse(const DjlError& error);

}  // namespace dray::api
