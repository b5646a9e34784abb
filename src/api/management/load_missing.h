// Loads a model when the first request for it comes, if the operator permits its URL.
#pragma once

#include "api/djl/djl.h"
#include "serving/manager/model_manager.h"
#include "serving/manager/url_pattern.h"

namespace dray::api {

// The same request may then be answered. URLs that `pattern` does not match are refused in
// DJLServing's words. `manager` must outlive the result.
LoadMissing MakeLoadMissing(serving::ModelManager& manager, serving::UrlPattern pattern);

}  // namespace dray::api
