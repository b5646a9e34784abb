#include "attack/attacks.h"

#include <fmt/format.h>

#include <algorithm>
#include <atomic>
#include <memory>
#include <thread>
#include <utility>

#include "http/testing/test_client.h"

namespace dray::attack {
namespace {

using Clock = std::chrono::steady_clock;
using http::TestClient;
using std::chrono::milliseconds;

constexpr milliseconds kPatience{60'000};

double SecondsSince(Clock::time_point start) {
  return std::chrono::duration<double>(Clock::now() - start).count();
}

// One request of somebody who means no harm; its seconds.
double Probe(uint16_t port, int* worst_status = nullptr) {
  const auto start = Clock::now();
  TestClient client(port);
  client.Send("GET /ping HTTP/1.1\r\nHost: probe\r\nConnection: close\r\n\r\n");
  const int status = client.Receive(kPatience).status;
  if (worst_status != nullptr && status != 200) *worst_status = status;
  return SecondsSince(start);
}

double Percentile99(std::vector<double> seconds) {
  if (seconds.empty()) return 0;
  std::sort(seconds.begin(), seconds.end());
  return seconds[std::min(seconds.size() - 1, seconds.size() * 99 / 100)];
}

std::vector<double> ProbeFor(uint16_t port, milliseconds time) {
  std::vector<double> seconds;
  const auto end = Clock::now() + time;
  while (Clock::now() < end) {
    seconds.push_back(Probe(port));
    std::this_thread::sleep_for(milliseconds(10));
  }
  return seconds;
}

// Runs `attack`, which returns the bytes sent and the answer's status, and measures it.
template <typename Attack>
Cost Measure(const Target& target, std::string name, const Attack& attack) {
  Cost cost;
  cost.name = std::move(name);
  cost.quiet_p99_s = Percentile99(ProbeFor(target.port, milliseconds(300)));
  target.meter.ForgetPeak();
  const uint64_t memory_before = target.meter.PeakBytes();
  const double cpu_before = target.meter.SettledCpuSeconds(2);
  std::vector<double> probes;
  std::atomic<bool> stop{false};
  // The prober's own requests cost the server processor time, so they are few.
  std::thread prober([&] {
    while (!stop) {
      probes.push_back(Probe(target.port));
      for (int i = 0; i < 10 && !stop; ++i) std::this_thread::sleep_for(milliseconds(10));
    }
  });
  std::tie(cost.sent_bytes, cost.status) = attack();
  stop = true;
  prober.join();
  cost.cpu_seconds = target.meter.SettledCpuSeconds(60) - cpu_before;
  cost.memory_bytes = target.meter.PeakBytes() - std::min(memory_before, target.meter.PeakBytes());
  cost.probe_p99_s = Percentile99(probes);
  return cost;
}

using Sent = std::pair<uint64_t, int>;

Sent SendAndReceive(uint16_t port, const std::string& request) {
  TestClient client(port);
  client.Send(request);
  return {request.size(), client.Receive(kPatience).status};
}

}  // namespace

double Cost::AllowedCpuSeconds() const {
  return 0.01 * static_cast<double>(sent_bytes) / 1e6 + 0.02;
}

Cost SendBody(const Target& target, const Body& body, size_t bytes) {
  const std::string request =
      http::PostRequest("/invocations", body.make(bytes), "Content-Type: application/json\r\n");
  return Measure(target, std::string(body.name),
                 [&] { return SendAndReceive(target.port, request); });
}

Cost SendManyBodies(const Target& target, const Crowd& crowd) {
  const std::string request = http::PostRequest(
      "/invocations", R"({"inputs":")" + std::string(crowd.body_bytes, 'a') + "\"}");
  const auto attack = [&]() -> Sent {
    std::atomic<int> worst{0};
    std::vector<std::thread> senders;
    for (int i = 0; i < crowd.connections; ++i) {
      senders.emplace_back([&] {
        const int status = SendAndReceive(target.port, request).second;
        if (status > worst) worst = status;
      });
    }
    for (std::thread& sender : senders) sender.join();
    return {request.size() * static_cast<uint64_t>(crowd.connections), worst.load()};
  };
  return Measure(
      target,
      fmt::format("{} bodies of {} MB at once", crowd.connections, crowd.body_bytes / 1'000'000),
      attack);
}

Cost DripBodies(const Target& target, const Drip& drip) {
  const auto attack = [&]() -> Sent {
    constexpr milliseconds kStep{100};
    const std::string piece(static_cast<size_t>(drip.bytes_per_second / 10), 'a');
    const std::string head =
        "POST /invocations HTTP/1.1\r\nHost: drip\r\nContent-Length: 1000000\r\n\r\n";
    std::vector<std::unique_ptr<TestClient>> clients(static_cast<size_t>(drip.connections));
    uint64_t sent = 0;
    int worst = 200;
    const auto end = Clock::now() + drip.time;
    while (Clock::now() < end) {
      const auto step_end = Clock::now() + kStep;
      for (auto& client : clients) {
        const bool lost = client == nullptr || !client->Send(piece);
        // Whoever is thrown out comes back.
        if (lost) {
          client = std::make_unique<TestClient>(target.port);
          client->Send(head);
        }
        sent += piece.size();
      }
      Probe(target.port, &worst);
      std::this_thread::sleep_until(step_end);
    }
    return {sent, worst};
  };
  return Measure(target,
                 fmt::format("{} bodies of {:.0f} B/s", drip.connections, drip.bytes_per_second),
                 attack);
}

Cost SendChunks(const Target& target, size_t chunks, size_t extension_bytes) {
  std::string request =
      "POST /invocations HTTP/1.1\r\nHost: chunks\r\nTransfer-Encoding: chunked\r\n\r\n";
  const std::string chunk = "1;" + std::string(extension_bytes, 'x') + "\r\n \r\n";
  for (size_t i = 0; i < chunks; ++i) request += chunk;
  request += "0\r\n\r\n";
  return Measure(target, fmt::format("chunks of a byte with {} of extension", extension_bytes),
                 [&] { return SendAndReceive(target.port, request); });
}

std::string Ledger(const std::vector<Cost>& costs) {
  std::string table =
      fmt::format("{:45} {:>9} {:>6} {:>8} {:>8} {:>9} {:>8} {:>8}\n", "attack", "MB sent",
                  "status", "cpu s", "allowed", "memory MB", "p99 ms", "quiet ms");
  for (const Cost& cost : costs) {
    table += fmt::format("{:45} {:9.2f} {:6} {:8.3f} {:8.3f} {:9.1f} {:8.1f} {:8.1f}{}\n",
                         cost.name, static_cast<double>(cost.sent_bytes) / 1e6, cost.status,
                         cost.cpu_seconds, cost.AllowedCpuSeconds(),
                         static_cast<double>(cost.memory_bytes) / 1e6, cost.probe_p99_s * 1e3,
                         cost.quiet_p99_s * 1e3, cost.is_cheap() ? "" : "  TOO MUCH");
  }
  return table;
}

}  // namespace dray::attack
