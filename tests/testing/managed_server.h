// A server with the inference and the management API, in this process, that has no model at first.
#pragma once

#include <gtest/gtest.h>
#include <stdlib.h>

#include <filesystem>
#include <memory>
#include <optional>
#include <string>
#include <system_error>
#include <utility>

#include "api/djl/adapters/adapters.h"
#include "api/djl/djl.h"
#include "api/management/load_missing.h"
#include "api/management/management.h"
#include "base/log.h"
#include "base/testing/source_dir.h"
#include "http/server.h"
#include "serving/manager/model_manager.h"
#include "serving/manager/url_pattern.h"
#include "serving/repository.h"
#include "testing/http_client.h"

namespace dray::testing {

class ManagedServer {
 public:
  explicit ManagedServer(serving::ModelManager::Options options = {},
                         std::string url_pattern = "") {
    SetLogLevel(LogLevel::kOff);
    std::string pattern = ::testing::TempDir() + "managed_XXXXXX";
    EXPECT_NE(::mkdtemp(pattern.data()), nullptr);
    folder_ = pattern;
    options.unpack_dir = folder_ / "unpacked";
    // A small cache, so that models are opened and closed quickly.
    options.sources.flags.try_emplace("kv-cache-bytes", "8MiB");
    options.sources.flags.try_emplace("max-model-len", "128");
    manager_ = std::make_unique<serving::ModelManager>(std::move(options), repository_);
    http::Router router;
    api::LoadMissing load_missing;
    if (!url_pattern.empty()) {
      auto compiled = serving::UrlPattern::Compile(url_pattern);
      EXPECT_TRUE(compiled.ok()) << compiled.status().message();
      load_missing = api::MakeLoadMissing(*manager_, std::move(*compiled));
    }
    api::RegisterDjlRoutes(router, repository_, tasks_, {}, std::move(load_missing));
    api::RegisterAdapterRoutes(router, repository_);
    api::RegisterManagementRoutes(router, *manager_, repository_);
    http::ServerOptions server;
    server.request_id_header = "x-request-id";
    server.default_headers = api::DjlDefaultHeaders();
    server.make_error = [](int status, const std::string& message, const http::Request*) {
      return api::MakeDjlServerError(status, message);
    };
    auto started = http::Server::Start(server, {{.port = 0, .router = std::move(router)}});
    EXPECT_TRUE(started.ok()) << started.status().message();
    server_ = std::move(started).value();
  }
  ~ManagedServer() {
    server_->Stop();
    manager_.reset();
    std::error_code ignored;
    std::filesystem::remove_all(folder_, ignored);
  }

  uint16_t port() const { return server_->port(); }
  serving::ModelRepository& repository() { return repository_; }
  // For this test's files; removed at its end.
  const std::filesystem::path& folder() const { return folder_; }
  static std::string DemoModel() { return (SourceDir() / "models/demo").string(); }

  // Sends one request on a connection of its own.
  HttpResponse Send(const std::string& method, const std::string& target,
                    const std::string& body = "", const std::string& headers = "") const {
    HttpClient client(port());
    client.Send(method + " " + target + " HTTP/1.1\r\nHost: h\r\nContent-Length: " +
                std::to_string(body.size()) + "\r\n" + headers + "\r\n" + body);
    // On a busy machine a model is loaded slowly, since it takes turns with those that serve.
    constexpr int kTimeoutMs = 600'000;
    return client.ReadResponse(kTimeoutMs).value_or(HttpResponse());
  }

 private:
  std::filesystem::path folder_;
  serving::ModelRepository repository_;
  std::unique_ptr<serving::ModelManager> manager_;
  api::TaskQueue tasks_{2};
  std::unique_ptr<http::Server> server_;
};

}  // namespace dray::testing
