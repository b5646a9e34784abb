// Clients that vanish at any moment of a request leave nothing behind and do not disturb others.
#include <gtest/gtest.h>

#include <atomic>
#include <chrono>
#include <filesystem>
#include <random>
#include <string>
#include <thread>
#include <vector>

#include "base/parse/json.h"
#include "testing/demo_server.h"
#include "testing/http_client.h"

namespace dray::testing {
namespace {

using std::chrono::milliseconds;
using CloseKind = HttpClient::CloseKind;

size_t OpenDescriptors() {
  size_t count = 0;
  for ([[maybe_unused]] const auto& entry : std::filesystem::directory_iterator("/proc/self/fd"))
    ++count;
  return count;
}

const char* const kProbe = R"({"inputs": "One day", "parameters": {"max_new_tokens": 24}})";

// One client that vanishes; how far its request gets is random.
void Vanish(uint16_t port, std::mt19937& random) {
  HttpClient client(port);
  ASSERT_TRUE(client.connected());
  const bool stream = random() % 2 == 0;
  const std::string body =
      R"({"inputs": "Once upon a time there was", "parameters": {"max_new_tokens": )" +
      std::to_string(1 + random() % 300) + R"(, "ignore_eos_token": true}, "stream": )" +
      (stream ? "true}" : "false}");
  const std::string request =
      "POST /invocations HTTP/1.1\r\nHost: x\r\nContent-Type: "
      "application/json\r\nContent-Length: " +
      std::to_string(body.size()) + "\r\n\r\n" + body;
  const auto kind = random() % 2 == 0 ? CloseKind::kFin : CloseKind::kReset;
  switch (random() % 4) {
    case 0:
      client.Send(request.substr(0, random() % request.size()));
      break;
    case 1:
      client.Send(request);
      break;
    case 2:
      client.Send(request);
      std::this_thread::sleep_for(milliseconds(random() % 30));
      break;
    default:
      client.Send(request);
      for (unsigned i = 0, reads = 1 + random() % 5; i < reads; ++i) client.ReadSome(20);
  }
  client.Close(kind);
}

TEST(DisconnectTest, AThousandVanishingClientsLeakNothing) {
  DemoServer demo(DemoServer::Flags{{"max-rolling-batch-size", "8"}});
  const auto before = Post(demo.port(), "/invocations", kProbe);
  ASSERT_TRUE(before && before->status == 200);
  const size_t descriptors = OpenDescriptors();

  constexpr int kThreads = 8;
  constexpr int kClients = 125;
  std::atomic<int> wrong_probes{0};
  std::vector<std::thread> threads;
  for (int thread = 0; thread < kThreads; ++thread) {
    threads.emplace_back([&, thread] {
      std::mt19937 random(static_cast<unsigned>(thread));
      for (int i = 0; i < kClients; ++i) Vanish(demo.port(), random);
    });
  }
  // Meanwhile a client that stays is served as usual.
  for (int i = 0; i < 10; ++i) {
    const auto probe = Post(demo.port(), "/invocations", kProbe);
    if (!probe || probe->body != before->body) ++wrong_probes;
  }
  for (std::thread& thread : threads) thread.join();
  EXPECT_EQ(wrong_probes, 0);

  const auto quiet = [&] {
    const auto stats = demo.model().stats();
    return stats.free_blocks == stats.total_blocks && stats.running_sequences == 0 &&
           stats.waiting_sequences == 0 && demo.model().num_in_flight() == 0 &&
           demo.server().stats().requests_in_flight == 0;
  };
  for (int i = 0; i < 1000 && !quiet(); ++i) std::this_thread::sleep_for(milliseconds(10));
  EXPECT_TRUE(quiet());
  EXPECT_GT(demo.server().stats().cancelled, 100u);
  EXPECT_EQ(demo.server().stats().handler_exceptions, 0u);
  const auto after = Post(demo.port(), "/invocations", kProbe);
  ASSERT_TRUE(after);
  EXPECT_EQ(after->body, before->body);
  for (int i = 0; i < 300 && OpenDescriptors() > descriptors; ++i)
    std::this_thread::sleep_for(milliseconds(10));
  EXPECT_LE(OpenDescriptors(), descriptors);
}

TEST(DisconnectTest, AFullQueueIsRefusedAndTheOthersAreServed) {
  DemoServer demo(DemoServer::Flags{{"max-rolling-batch-size", "1"}, {"job-queue-size", "2"}});
  std::atomic<int> served{0};
  std::atomic<int> refused{0};
  std::vector<std::thread> threads;
  for (int i = 0; i < 12; ++i) {
    threads.emplace_back([&] {
      const auto response = Post(
          demo.port(), "/invocations",
          R"({"inputs": "Once", "parameters": {"max_new_tokens": 200, "ignore_eos_token": true}})");
      ASSERT_TRUE(response);
      if (response->status == 200) ++served;
      if (response->status == 503) {
        ++refused;
        EXPECT_EQ(Json::Parse(response->body)->Find("code")->AsInt64(), 503);
      }
    });
  }
  for (std::thread& thread : threads) thread.join();
  EXPECT_EQ(served + refused, 12);
  EXPECT_GE(served, 3);
  EXPECT_GT(refused, 0);
}

}  // namespace
}  // namespace dray::testing
