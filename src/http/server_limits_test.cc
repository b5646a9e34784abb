// What many or slow or large requests may take of the server, and what is kept from them.
#include <gtest/gtest.h>
#include <malloc.h>
#include <sys/resource.h>
#include <unistd.h>

#include <atomic>
#include <chrono>
#include <fstream>
#include <memory>
#include <mutex>
#include <new>
#include <string>
#include <thread>
#include <vector>

#include "http/server.h"
#include "http/testing/server_fixture.h"
#include "http/testing/test_client.h"

namespace dray::http {
namespace {

std::string HeadOfBody(size_t length) {
  return "POST /hold HTTP/1.1\r\nHost: h\r\nContent-Length: " + std::to_string(length) + "\r\n\r\n";
}

// Beside the fixture's routes: /hold keeps its requests, /drop their responders alone, and /ping is a
// health check.
class HttpLimitsTest : public HttpServerTest {
 protected:
  HttpLimitsTest() {
    router_.Add("POST", "/hold", [this](Request request, ResponderPtr responder) {
      const std::lock_guard lock(mutex_);
      held_.push_back(std::move(request));
      waiting_.push_back(std::move(responder));
    });
    router_.Add("POST", "/drop", [this](Request request, ResponderPtr responder) {
      request.DropBody();
      const std::lock_guard lock(mutex_);
      held_.push_back(std::move(request));
      waiting_.push_back(std::move(responder));
    });
    router_.Add(
        "*", "/ping",
        [](const Request&, const ResponderPtr& responder) { responder->Send(Text("healthy")); },
        RouteKind::kHealthCheck);
  }

  // Drops what /hold keeps.
  void DropHeld() {
    const std::lock_guard lock(mutex_);
    held_.clear();
  }
  // Whether a body of so many bytes is accepted now, by a route that answers at once.
  int StatusOfEcho(size_t bytes) {
    TestClient client(server_->port());
    client.Send(PostRequest("/echo", std::string(bytes, 'x')));
    return client.Receive().status;
  }

  std::vector<Request> held_;
};

TEST_F(HttpLimitsTest, BodiesAreChargedUntilTheirHandlersDropThem) {
  options_.max_total_body_bytes = 100'000;
  Start();
  TestClient first(server_->port());
  first.Send(PostRequest("/hold", std::string(60'000, 'x')));
  const ResponderPtr responder = Waiting(0);
  ASSERT_NE(responder, nullptr);
  EXPECT_EQ(StatusOfEcho(60'000), 503);
  EXPECT_EQ(StatusOfEcho(30'000), 200);
  // An answer does not free what the handler still holds.
  responder->Send(Text("done"));
  EXPECT_EQ(first.Receive().status, 200);
  EXPECT_EQ(StatusOfEcho(60'000), 503);
  DropHeld();
  EXPECT_EQ(StatusOfEcho(60'000), 200);
  EXPECT_EQ(StatusOfEcho(100'000), 200);
}

TEST_F(HttpLimitsTest, ChunkedBodiesAreChargedAlike) {
  options_.max_total_body_bytes = 100'000;
  Start();
  TestClient first(server_->port());
  std::string request = "POST /hold HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n";
  for (int i = 0; i < 6; ++i) request += "2710;n=1\r\n" + std::string(10'000, 'x') + "\r\n";
  first.Send(request + "0\r\n\r\n");
  ASSERT_NE(Waiting(0), nullptr);
  EXPECT_EQ(StatusOfEcho(60'000), 503);
  DropHeld();
  EXPECT_EQ(StatusOfEcho(60'000), 200);
}

TEST_F(HttpLimitsTest, ADroppedBodyIsFreeBeforeTheAnswer) {
  options_.max_total_body_bytes = 100'000;
  Start();
  TestClient first(server_->port());
  first.Send(PostRequest("/drop", std::string(90'000, 'x')));
  ASSERT_NE(Waiting(0), nullptr);
  EXPECT_EQ(StatusOfEcho(90'000), 200);
}

TEST(RequestTest, DroppingABodyFreesItsMemory) {
  const auto budget = std::make_shared<BodyBudget>(1'000'000);
  Request request;
  request.body = std::string(100'000, 'a');
  request.body_lease = BodyLease(budget);
  ASSERT_TRUE(request.body_lease.Resize(100'000));
  {
    const BodyLease kept = request.DropBody();
    EXPECT_LT(request.body.capacity(), 100U);
    EXPECT_EQ(budget->used_bytes(), 100'000U);
  }
  EXPECT_EQ(budget->used_bytes(), 0U);
}

#if !defined(__SANITIZE_ADDRESS__) && !defined(__SANITIZE_THREAD__)
TEST(RequestTest, ResettingAParserFreesTheBody) {
  constexpr size_t kBytes = size_t{48} << 20;  // more than malloc may keep for itself
  const std::string body(kBytes, 'a');
  const size_t before = ::mallinfo2().hblkhd;
  RequestParser parser(ParserLimits{});
  parser.Consume("POST / HTTP/1.1\r\nHost: h\r\nContent-Length: " + std::to_string(kBytes + 1) +
                 "\r\n\r\n");
  parser.Consume(body);
  EXPECT_GE(::mallinfo2().hblkhd, before + kBytes);
  parser.Reset();
  EXPECT_EQ(::mallinfo2().hblkhd, before);
}
#endif

TEST_F(HttpLimitsTest, AClientThatLeavesDoesNotFreeWhatTheHandlerHolds) {
  options_.max_total_body_bytes = 100'000;
  Start();
  {
    TestClient leaver(server_->port());
    leaver.Send(PostRequest("/hold", std::string(90'000, 'x')));
    ASSERT_NE(Waiting(0), nullptr);
  }
  EXPECT_TRUE(WaitFor([&] { return server_->stats().requests_in_flight == 0; }));
  EXPECT_EQ(StatusOfEcho(90'000), 503);
  DropHeld();
  EXPECT_EQ(StatusOfEcho(90'000), 200);
}

TEST_F(HttpLimitsTest, BodiesThatNeverGetWholeAreFree) {
  options_.max_total_body_bytes = 100'000;
  options_.timeouts.body_idle = milliseconds(200);
  Start();
  {
    TestClient leaver(server_->port());
    leaver.Send(HeadOfBody(100'000) + std::string(90'000, 'x'));
    EXPECT_TRUE(WaitFor([&] { return StatusOfEcho(90'000) == 503; }));
  }
  EXPECT_TRUE(WaitFor([&] { return StatusOfEcho(90'000) == 200; }));
  TestClient silent(server_->port());
  silent.Send(HeadOfBody(100'000) + std::string(90'000, 'x'));
  EXPECT_EQ(silent.Receive().status, 408);
  EXPECT_EQ(StatusOfEcho(90'000), 200);
  TestClient broken(server_->port());
  broken.Send("POST /hold HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\nEA60\r\n" +
              std::string(60'000, 'x') + "nonsense");
  EXPECT_EQ(broken.Receive().status, 400);
  EXPECT_EQ(StatusOfEcho(90'000), 200);
}

// Announced and not sent, a body takes little of the budget.
TEST_F(HttpLimitsTest, AnnouncedBytesAreNotCharged) {
  options_.max_total_body_bytes = 200'000;
  Start();
  std::vector<std::unique_ptr<TestClient>> clients;
  for (int i = 0; i < 5; ++i) {
    clients.push_back(std::make_unique<TestClient>(server_->port()));
    clients.back()->Send(HeadOfBody(150'000) + "x");
  }
  EXPECT_EQ(StatusOfEcho(100'000), 200);
}

TEST_F(HttpLimitsTest, HealthChecksAreAnsweredAboveTheLimit) {
  options_.max_connections = 3;
  options_.timeouts.overflow_header = milliseconds(300);
  Start();
  std::vector<std::unique_ptr<TestClient>> slow;
  for (int i = 0; i < 3; ++i) {
    slow.push_back(std::make_unique<TestClient>(server_->port()));
    slow.back()->Send(HeadOfBody(100) + "x");
  }
  ASSERT_TRUE(WaitFor([&] { return server_->stats().connections == 3; }));
  for (const char* method : {"GET", "HEAD", "OPTIONS"}) {
    TestClient health(server_->port());
    health.Send(std::string(method) + " /ping HTTP/1.1\r\nHost: h\r\n\r\n");
    const std::string answer = health.ReceiveUntil("\r\n\r\n");
    EXPECT_NE(answer.find("200 OK"), std::string::npos) << method << ": " << answer;
    EXPECT_NE(answer.find("Connection: close"), std::string::npos);
    EXPECT_TRUE(health.WaitForClose());
  }
  for (const std::string& request : {std::string("GET /hello HTTP/1.1\r\nHost: h\r\n\r\n"),
                                     std::string("GET /nowhere HTTP/1.1\r\nHost: h\r\n\r\n"),
                                     PostRequest("/echo", "x"), HeadOfBody(1000), std::string()}) {
    TestClient other(server_->port());
    other.Send(request);
    const TestResponse response = other.Receive();
    EXPECT_EQ(response.status, 503) << request;
    EXPECT_NE(response.body.find("connections"), std::string::npos) << response.body;
    EXPECT_TRUE(other.WaitForClose());
  }
  // A place that gets free is for everybody.
  slow.clear();
  EXPECT_TRUE(WaitFor([&] { return StatusOfEcho(10) == 200; }));
}

TEST_F(HttpLimitsTest, SlowBodiesEndWhateverTheirPace) {
  options_.timeouts.body_idle = milliseconds(400);
  options_.timeouts.body = milliseconds(1200);
  options_.min_body_bytes_per_second = 1000;
  Start();
  struct Pace {
    std::string piece;
    int pause_ms;
    std::string reason;
  };
  const Pace paces[] = {
      {"x", 20, "too slowly"},                    // 50 bytes a second
      {std::string(12, 'x'), 20, "too slowly"},   // 600
      {std::string(400, 'x'), 20, "not whole"},   // 20,000: fast enough, and too long
      {std::string(1000, 'x'), 90, "not whole"},  // 11,000
      {"x", 1000, "nothing"},
  };
  for (const Pace& pace : paces) {
    TestClient client(server_->port());
    client.Send(HeadOfBody(1'000'000));
    std::thread drip([&] {
      for (int i = 0; i < 100 && client.Send(pace.piece); ++i) {
        std::this_thread::sleep_for(milliseconds(pace.pause_ms));
      }
    });
    const TestResponse response = client.Receive();
    EXPECT_EQ(response.status, 408);
    EXPECT_NE(response.body.find(pace.reason), std::string::npos) << response.body;
    client.Close();
    drip.join();
  }
}

TEST_F(HttpLimitsTest, AHandlerWithoutMemoryIsBusyAndNotBroken) {
  router_.Add("GET", "/full", [](const Request&, const ResponderPtr&) { throw std::bad_alloc(); });
  Start();
  TestClient client(server_->port());
  client.Send("GET /full HTTP/1.1\r\nHost: h\r\n\r\n");
  const TestResponse response = client.Receive();
  EXPECT_EQ(response.status, 503);
  EXPECT_NE(response.body.find("memory"), std::string::npos);
  EXPECT_EQ(server_->stats().handler_exceptions, 0U);
  EXPECT_EQ(StatusOfEcho(10), 200);
}

#if !defined(__SANITIZE_ADDRESS__) && !defined(__SANITIZE_THREAD__)
TEST_F(HttpLimitsTest, ABodyThatFindsNoMemoryIsAnsweredAtOnce) {
  // Longer than the 64 MiB that malloc may have set aside for a thread, which no limit takes away.
  constexpr size_t kBodyBytes = size_t{100} << 20;
  options_.limits.max_body_bytes = kBodyBytes;
  Start();
  const std::string body(kBodyBytes, 'x');
  EXPECT_EQ(StatusOfEcho(10), 200);
  rlimit before{};
  ASSERT_EQ(getrlimit(RLIMIT_AS, &before), 0);
  TestClient client(server_->port());
  std::atomic<bool> begin{false};
  std::thread sender([&] {
    begin.wait(false);
    client.Send("POST /echo HTTP/1.1\r\nHost: h\r\nContent-Length: 104857600\r\n\r\n");
    client.Send(body);
  });
  // A little more than what the process has mapped: enough for all but the body.
  size_t mapped_pages = 0;
  std::ifstream("/proc/self/statm") >> mapped_pages;
  rlimit tight = before;
  tight.rlim_cur = mapped_pages * static_cast<size_t>(getpagesize()) + (size_t{24} << 20);
  ASSERT_EQ(setrlimit(RLIMIT_AS, &tight), 0);
  begin = true;
  begin.notify_one();
  // The client shares this process's memory, so it reads the answer when there is memory again.
  EXPECT_TRUE(client.WaitForInput(milliseconds(30'000)));
  ASSERT_EQ(setrlimit(RLIMIT_AS, &before), 0);
  const TestResponse response = client.Receive(milliseconds(5000));
  EXPECT_EQ(response.status, 503);
  EXPECT_NE(response.body.find("memory"), std::string::npos) << response.body;
  client.ShutdownSend();
  sender.join();
  EXPECT_EQ(StatusOfEcho(10), 200);
}
#endif

}  // namespace
}  // namespace dray::http
