// Replays the attacks in full against a server that it starts, and prints the ledger:
// attack_tool build/release/dray [MB of the bodies, at most 64]. Takes some minutes; loopback only.
#include <fmt/format.h>

#include <algorithm>
#include <charconv>
#include <chrono>
#include <csignal>
#include <cstdio>
#include <cstdlib>
#include <string>
#include <vector>

#include "attack/attacks.h"
#include "testing/process.h"

namespace dray::attack {
namespace {

constexpr int kDrainSeconds = 10;

// All costs in the order in which they were met.
std::vector<Cost> AttackAll(const Target& target, size_t body_bytes) {
  std::vector<Cost> costs;
  const auto add = [&](Cost cost) {
    costs.push_back(std::move(cost));
    fmt::print("{}: {:.3f} s\n", costs.back().name, costs.back().cpu_seconds);
    std::fflush(stdout);
  };
  for (const Body& body : AllBodies()) add(SendBody(target, body, body_bytes));
  for (const size_t extension : {0, 10, 1000, 8000}) add(SendChunks(target, 60'000, extension));
  add(SendManyBodies(target, {.connections = 40, .body_bytes = body_bytes}));
  add(DripBodies(
      target,
      {.connections = 64, .bytes_per_second = 620, .time = std::chrono::milliseconds(30'000)}));
  return costs;
}

int Run(const std::string& program, size_t body_bytes) {
  testing::Process process({program, "serve", "demo", "--port", "0", "--max-connections", "64",
                            "--drain-timeout", std::to_string(kDrainSeconds)});
  const auto line = process.ReadUntil("serving demo on ");
  if (!line) {
    std::fputs(process.output().c_str(), stderr);
    return 1;
  }
  uint16_t port = 0;
  std::from_chars(line->data() + line->rfind(':') + 1, line->data() + line->size(), port);
  const std::vector<Cost> costs = AttackAll({port, ServerMeter(process.pid())}, body_bytes);
  std::fputs(("\n" + Ledger(costs)).c_str(), stdout);

  const auto start = std::chrono::steady_clock::now();
  process.Signal(SIGTERM);
  const int exit_code = process.Wait();
  const std::chrono::duration<double> end = std::chrono::steady_clock::now() - start;
  fmt::print("ended with {} after {:.1f} s; at most {} s are allowed\n", exit_code, end.count(),
             kDrainSeconds + 2);
  const bool cheap = std::all_of(costs.begin(), costs.end(), [](const Cost& cost) {
    return cost.is_cheap() && cost.status != 500;
  });
  return cheap && exit_code >= 0 && end.count() <= kDrainSeconds + 2 ? 0 : 1;
}

}  // namespace
}  // namespace dray::attack

int main(int argc, char** argv) {
  if (argc < 2) {
    std::fputs("usage: attack_tool build/release/dray [MB]\n", stderr);
    return 2;
  }
  constexpr size_t kMaxMegabytes = 64;
  const size_t megabytes =
      argc > 2 ? static_cast<size_t>(std::max(1L, std::strtol(argv[2], nullptr, 10))) : 60;
  return dray::attack::Run(argv[1], std::min(megabytes, kMaxMegabytes) * 1'000'000);
}
