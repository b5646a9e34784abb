// The demo model behind a real HTTP server in this process, so that tests can see both the bytes
// and the counters.
#pragma once

#include <gtest/gtest.h>

#include <map>
#include <memory>
#include <string>
#include <utility>

#include "api/djl/djl.h"
#include "base/log.h"
#include "cli/model_options.h"
#include "http/server.h"
#include "serving/load/open_model.h"
#include "serving/repository.h"

namespace dray::testing {

class DemoServer {
 public:
  using Flags = std::map<std::string, std::string>;
  // `flags` are those of `dray serve`, without dashes.
  explicit DemoServer(Flags flags) {
    SetLogLevel(LogLevel::kWarning);
    resolved_ = std::make_unique<cli::ResolvedModel>(
        Must(cli::ResolveModel({.model = "demo", .config_file = "", .flags = std::move(flags)})));
    model_ = Must(serving::OpenModel(resolved_->settings.model, resolved_->files));
    EXPECT_TRUE(repository_.AddPending("demo", "", serving::ModelOrigin::kStartUp).ok());
    repository_.SetReady(model_);
    http::Router router;
    api::RegisterDjlRoutes(router, repository_, tasks_, {});
    server_ = Must(http::Server::Start({}, {{.port = 0, .router = std::move(router)}}));
  }
  ~DemoServer() { server_->Stop(); }

  uint16_t port() const { return server_->port(); }
  http::Server& server() { return *server_; }
  serving::ServedModel& model() { return *model_; }

 private:
  template <typename T>
  static T Must(Result<T> result) {
    EXPECT_TRUE(result.ok()) << result.status().ToString();
    return std::move(result).value();
  }

  std::unique_ptr<cli::ResolvedModel> resolved_;
  std::shared_ptr<serving::ServedModel> model_;
  serving::ModelRepository repository_;
  api::TaskQueue tasks_{2};
  std::unique_ptr<http::Server> server_;
};

}  // namespace dray::testing
