// Errors as DJLServing answers them: a status line, and a body that says it again with the name of
// its exception, which clients match on.
#pragma once

#include <string>
#include <string_view>

#include "base/status.h"
#include "http/response.h"

namespace dray::api {

struct ApiError {
  int status = 500;
  // DJLServing's exception class.
  std::string_view type;
  std::string message;
};

// Which step of a request failed; the same code means different exceptions.
enum class Step { kFindModel, kSubmit, kSubmitToDraining, kGenerate };
ApiError MakeApiError(const Status& status, Step step);
// For errors that are known by their status only: those of the HTTP layer.
ApiError MakeApiError(int status, std::string message);

// {"code": ..., "type": ..., "message": ...}, pretty, closing the connection, without a request id.
http::Response ToResponse(const ApiError& error);

}  // namespace dray::api
