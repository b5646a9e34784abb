// A server on a free port, and routes for its tests.
#pragma once

#include <gtest/gtest.h>

#include <atomic>
#include <chrono>
#include <functional>
#include <memory>
#include <mutex>
#include <stdexcept>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "http/server.h"
#include "http/testing/test_client.h"

namespace dray::http {

using std::chrono::milliseconds;
using Clock = std::chrono::steady_clock;

inline Response Text(std::string body) {
  Response response;
  response.head.headers.Add("Content-Type", "text/plain");
  response.body = std::move(body);
  return response;
}

inline bool WaitFor(const std::function<bool()>& condition,
                    milliseconds patience = milliseconds(5000)) {
  const auto deadline = Clock::now() + patience;
  while (!condition()) {
    if (Clock::now() > deadline) return false;
    std::this_thread::sleep_for(milliseconds(2));
  }
  return true;
}

class HttpServerTest : public testing::Test {
 protected:
  HttpServerTest() {
    router_.Add("POST", "/echo", [](const Request& request, const ResponderPtr& responder) {
      responder->Send(Text(request.body));
    });
    router_.Add("GET", "/hello", [](const Request&, const ResponderPtr& responder) {
      responder->Send(Text("hello\n"));
    });
    router_.Add("POST", "/stream", [](const Request&, const ResponderPtr& responder) {
      responder->BeginStream({});
      for (const char* piece : {"one ", "two ", "", "three"}) responder->Write(piece);
      responder->End();
    });
    // Answers nothing until the test does.
    router_.Add("POST", "/wait", [this](const Request&, ResponderPtr responder) {
      responder->OnCancel([this] { ++cancels_; });
      const std::lock_guard lock(mutex_);
      waiting_.push_back(std::move(responder));
    });
    router_.Add("GET", "/throw",
                [](const Request&, const ResponderPtr&) { throw std::runtime_error("boom"); });
    router_.Add("GET", "/forget", [](const Request&, const ResponderPtr&) {});
  }

  void Start() {
    auto server = Server::Start(options_, {{.port = 0, .router = router_}});
    ASSERT_TRUE(server.ok()) << server.status().message();
    server_ = std::move(server).value();
  }

  ResponderPtr Waiting(size_t index = 0) {
    WaitFor([&] {
      const std::lock_guard lock(mutex_);
      return waiting_.size() > index;
    });
    const std::lock_guard lock(mutex_);
    return index < waiting_.size() ? waiting_[index] : nullptr;
  }

  ServerOptions options_;
  Router router_;
  std::mutex mutex_;
  std::vector<ResponderPtr> waiting_;
  std::atomic<int> cancels_{0};
  std::unique_ptr<Server> server_;
};

}  // namespace dray::http
