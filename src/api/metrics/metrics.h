// The pages that Prometheus reads: /metrics and, as DJLServing has it, /server/metrics.
//
// Threads: any.
#pragma once

#include <atomic>
#include <chrono>
#include <memory>
#include <string>
#include <vector>

#include "api/metrics/metric_table.h"
#include "http/responder.h"
#include "http/router.h"
#include "http/server.h"
#include "serving/repository.h"

namespace dray::api {

// The page in Prometheus' text format. With `names`, only the metrics of those names; a name may be that of a
// metric, or of one line of a histogram ("..._bucket", "..._sum", "..._count").
std::string WriteMetrics(const ServerSample& server, const std::vector<ModelSample>& models,
                         const std::vector<std::string>& names);

class MetricsPages : public std::enable_shared_from_this<MetricsPages> {
 public:
  // `models` must outlive the server that the routes go to.
  explicit MetricsPages(const serving::ModelRepository& models);

  void Register(http::Router& router);
  // The server whose numbers are shown; it must outlive its handlers.
  void SetServer(const http::Server& server) { server_ = &server; }

 private:
  void Answer(const http::Request& request, const http::ResponderPtr& responder) const;

  const serving::ModelRepository& models_;
  const std::chrono::system_clock::time_point start_;
  std::atomic<const http::Server*> server_{nullptr};
};

}  // namespace dray::api
