#include "attack/attacks.h"

#include <fmt/format.h>
#include <zlib.h>

#include <atomic>
#include <memory>
#include <thread>
#include <utility>
#include <vector>

#include "http/testing/test_client.h"

namespace dray::attack {
namespace {

using Clock = std::chrono::steady_clock;
using http::TestClient;
using std::chrono::milliseconds;

constexpr milliseconds kPatience{60'000};

Sent SendAndReceive(uint16_t port, const std::string& request) {
  TestClient client(port);
  client.Send(request);
  return {request.size(), client.Receive(kPatience).status};
}

Attack OneRequest(std::string name, std::string request) {
  const auto shared = std::make_shared<const std::string>(std::move(request));
  return {std::move(name), [shared](uint16_t port) { return SendAndReceive(port, *shared); }};
}

Sent RunCrowd(uint16_t port, const std::string& request, int connections) {
  std::atomic<int> worst{0};
  std::vector<std::thread> senders;
  for (int i = 0; i < connections; ++i) {
    senders.emplace_back([&] {
      const int status = *SendAndReceive(port, request).status;
      int seen = worst;
      while (status > seen && !worst.compare_exchange_weak(seen, status)) {
      }
    });
  }
  for (std::thread& sender : senders) sender.join();
  return {request.size() * static_cast<uint64_t>(connections), worst.load()};
}

Sent RunDrip(uint16_t port, const Drip& drip) {
  constexpr milliseconds kStep{100};
  const std::string piece(static_cast<size_t>(drip.bytes_per_second / 10), 'a');
  const std::string head =
      "POST /invocations HTTP/1.1\r\nHost: drip\r\nContent-Length: 1000000\r\n\r\n";
  std::vector<std::unique_ptr<TestClient>> clients(static_cast<size_t>(drip.connections));
  uint64_t sent = 0;
  const auto end = Clock::now() + drip.time;
  while (Clock::now() < end) {
    const auto step_end = Clock::now() + kStep;
    for (auto& client : clients) {
      if (client == nullptr || !client->Send(piece)) {
        client = std::make_unique<TestClient>(port);
        client->Send(head);
      }
      sent += piece.size();
    }
    std::this_thread::sleep_until(step_end);
  }
  return {sent, std::nullopt};
}

}  // namespace

Attack BodyAttack(const Body& body, size_t bytes) {
  return OneRequest(
      std::string(body.name),
      http::PostRequest("/invocations", body.make(bytes), "Content-Type: application/json\r\n"));
}

Attack CompressedAttack(const Body& body, size_t bytes) {
  const std::string plain = body.make(bytes);
  uLongf size = ::compressBound(plain.size());
  std::string packed(size, '\0');
  ::compress(reinterpret_cast<Bytef*>(packed.data()), &size,
             reinterpret_cast<const Bytef*>(plain.data()), plain.size());
  packed.resize(size);
  return OneRequest(
      std::string(body.name) + ", compressed",
      http::PostRequest("/invocations", packed,
                        "Content-Type: application/json\r\nContent-Encoding: deflate\r\n"));
}

Attack CrowdAttack(const Crowd& crowd) {
  const auto request = std::make_shared<const std::string>(http::PostRequest(
      "/invocations", R"({"inputs":")" + std::string(crowd.body_bytes, 'a') + "\"}"));
  return {
      fmt::format("{} bodies of {} MB at once", crowd.connections, crowd.body_bytes / 1'000'000),
      [request, crowd](uint16_t port) { return RunCrowd(port, *request, crowd.connections); }};
}

Attack DripAttack(const Drip& drip) {
  return {fmt::format("{} bodies of {:.0f} B/s", drip.connections, drip.bytes_per_second),
          [drip](uint16_t port) { return RunDrip(port, drip); },
          Attack::LeavesRoomFor::kHealthChecks};
}

Attack LongAnswerAttack() {
  std::string inputs;
  for (int i = 0; i < 16; ++i) inputs += (i > 0 ? ",\"One day\"" : "\"One day\"");
  return OneRequest("long answers",
                    http::PostRequest("/invocations",
                                      R"({"inputs":[)" + inputs +
                                          R"(],"parameters":{"ignore_eos_token":true,)"
                                          R"("max_new_tokens":1000}})",
                                      "Content-Type: application/json\r\n"));
}

Attack ChunkAttack(size_t chunks, size_t extension_bytes) {
  std::string request =
      "POST /invocations HTTP/1.1\r\nHost: chunks\r\nTransfer-Encoding: chunked\r\n\r\n";
  const std::string chunk = "1;" + std::string(extension_bytes, 'x') + "\r\n \r\n";
  for (size_t i = 0; i < chunks; ++i) request += chunk;
  request += "0\r\n\r\n";
  return OneRequest(fmt::format("chunks of a byte with {} of extension", extension_bytes),
                    std::move(request));
}

}  // namespace dray::attack
