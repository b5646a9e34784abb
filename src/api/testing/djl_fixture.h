// The fixture of the tests that speak DJLServing's API to a whole server on an engine
// without a model.
#pragma once

#include <fmt/format.h>
#include <gtest/gtest.h>

#include <chrono>
#include <functional>
#include <memory>
#include <string>
#include <string_view>
#include <thread>
#include <utility>

#include "api/djl/djl.h"
#include "api/sagemaker/runtime.h"
#include "base/parse/json.h"
#include "http/server.h"
#include "http/testing/test_client.h"
#include "serving/testing/fakes.h"

namespace dray::api {

class DjlTest : public testing::Test {
 protected:
  void Start(serving::FakeEngine::Options engine = {}, serving::ModelOptions options = {}) {
    AddModel("m", std::move(engine), std::move(options));
    Serve();
  }
  void AddModel(const std::string& name, serving::FakeEngine::Options engine = {},
                serving::ModelOptions options = {}) {
    auto fake = std::make_unique<serving::FakeEngine>(std::move(engine));
    engine_ = fake.get();
    options.name = name;
    ASSERT_TRUE(models_.AddPending(name, options.version, serving::ModelOrigin::kStartUp).ok());
    model_ = std::make_shared<serving::ServedModel>(options, std::move(fake),
                                                    std::make_unique<serving::ByteCodec>());
    models_.SetReady(model_);
  }
  void Serve() {
    http::ServerOptions options = http_;
    options.request_id_header = request_id_header_;
    options.default_headers = DjlDefaultHeaders();
    options.make_error = [](int status, const std::string& message, const http::Request*) {
      return MakeDjlServerError(status, message);
    };
    RegisterRuntimeRoutes(router_, models_, RegisterDjlRoutes(router_, models_, tasks_, djl_));
    auto server = http::Server::Start(options, {{.port = 0, .router = std::move(router_)}});
    ASSERT_TRUE(server.ok()) << server.status().message();
    server_ = std::move(server).value();
  }

  http::TestResponse Exchange(std::string_view request) {
    http::TestClient client(server_->port());
    client.Send(request);
    return client.Receive();
  }
  http::TestResponse Invoke(std::string_view json) {
    return Exchange(http::PostRequest("/invocations", json, "Content-Type: application/json\r\n"));
  }
  http::TestResponse Get(std::string_view path) {
    return Exchange(fmt::format("GET {} HTTP/1.1\r\nHost: h\r\n\r\n", path));
  }
  static std::string ErrorBody(int code, std::string_view type, std::string_view message) {
    return fmt::format("{{\n  \"code\": {},\n  \"type\": \"{}\",\n  \"message\": {}\n}}\n", code,
                       type, Json(message).Dump());
  }
  static bool WaitFor(const std::function<bool()>& condition) {
    for (int i = 0; i < 5000; ++i) {
      if (condition()) return true;
      std::this_thread::sleep_for(std::chrono::milliseconds(2));
    }
    return false;
  }

  DjlOptions djl_;
  // Further routes may be added before Serve.
  http::Router router_;
  http::ServerOptions http_;
  std::string request_id_header_ = "x-request-id";
  serving::ModelRepository models_;
  serving::FakeEngine* engine_ = nullptr;
  std::shared_ptr<serving::ServedModel> model_;
  TaskQueue tasks_{2};
  std::unique_ptr<http::Server> server_;
};

}  // namespace dray::api
