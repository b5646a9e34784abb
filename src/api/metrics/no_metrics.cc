#include "api/metrics/no_metrics.h"

#include "api/djl/djl_answers.h"
#include "http/responder.h"

namespace dray::api {

void RegisterNoMetrics(http::Router& router) {
  const auto refuse = [](const http::Request& /*request*/, const http::ResponderPtr& responder) {
    SendDjlError(responder, {400, "BadRequestException",
                             "Prometheus is not enabled, set SERVING_PROMETHEUS environment var to "
                             "true to enable prometheus metrics"});
  };
  for (const char* path : {"/metrics", "/server/metrics"}) {
    router.Add("GET", path, refuse, http::RouteKind::kManagement);
  }
}

}  // namespace dray::api
