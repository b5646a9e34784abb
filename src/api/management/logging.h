// /server/logging: changes how much the server logs.
#pragma once

#include "http/router.h"

namespace dray::api {

// Adds the route. Its parameter "level" is one of trace, debug, info (without it), warn, error and off; the level is
// that of the whole process.
void RegisterLogging(http::Router& router);

}  // namespace dray::api
