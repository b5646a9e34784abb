// The pages of metrics where the operator has turned them off.
#pragma once

#include "http/router.h"

namespace dray::api {

// Adds the routes of MetricsPages, with answers that say how the pages are turned on: 400 in DJLServing's words.
void RegisterNoMetrics(http::Router& router);

}  // namespace dray::api
