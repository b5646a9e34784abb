// Replays the attacks in full against servers that it starts, prints the ledger and judges it:
// attack_tool build/release/dray [MB of the bodies, at most 64]. Takes some minutes; loopback only. Exits with 1
// if an attack cost more than it may.
#include <fmt/format.h>

#include <algorithm>
#include <atomic>
#include <chrono>
#include <csignal>
#include <cstdio>
#include <cstdlib>
#include <string>
#include <thread>
#include <vector>

#include "attack/attacks.h"
#include "attack/ledger.h"
#include "attack/probes.h"
#include "attack/started_server.h"

namespace dray::attack {
namespace {

using Clock = std::chrono::steady_clock;
using std::chrono::milliseconds;

constexpr uint64_t kRequestMemoryBytes = uint64_t{512} << 20;
constexpr uint64_t kSlackBytes = uint64_t{64} << 20;
constexpr int kDrainSeconds = 3;
constexpr int kMaxEndSeconds = kDrainSeconds + 2;
// Tries of which the best counts, so that what else the machine does is not blamed on the server.
constexpr int kTries = 3;

std::vector<std::string> Flags() {
  // One computing thread: what the model computes does not wait for a processor that the attackers use.
  return {"--threads",
          "1",
          "--max-connections",
          "64",
          "--drain-timeout",
          std::to_string(kDrainSeconds),
          "--max-request-memory",
          std::to_string(kRequestMemoryBytes)};
}

std::vector<Attack> AllAttacks(size_t body_bytes) {
  std::vector<Attack> attacks;
  for (const Body& body : AllBodies()) attacks.push_back(BodyAttack(body, body_bytes));
  attacks.push_back(CompressedAttack(LongPrompt(), body_bytes));
  for (const size_t extension : {0, 10, 1000, 8000}) {
    attacks.push_back(ChunkAttack(60'000, extension));
  }
  attacks.push_back(CrowdAttack({.connections = 40, .body_bytes = body_bytes}));
  attacks.push_back(
      DripAttack({.connections = 64, .bytes_per_second = 620, .time = milliseconds(15'000)}));
  return attacks;
}

// Measures the attack, and the waiting of others meanwhile; adds to what they wait without it.
Entry Try(const Target& target, const Attack& attack, Probes& quiet) {
  Entry entry{Measure(target, attack), {}};
  quiet.Add(ProbeFor(target.port, Attack::LeavesRoomFor::kRequests, milliseconds(500)));
  target.meter.ForgetPeak();
  entry.probes = ProbeDuring(target.port, attack, milliseconds(2000));
  entry.cost.peak_bytes = std::max(entry.cost.peak_bytes, target.meter.PeakBytes());
  return entry;
}

// The cheaper of the two; but memory is no matter of luck, and the higher peak counts.
Entry Better(const Entry& a, const Entry& b) {
  Entry best = a;
  best.cost.cpu_seconds = std::min(a.cost.cpu_seconds, b.cost.cpu_seconds);
  best.cost.peak_bytes = std::max(a.cost.peak_bytes, b.cost.peak_bytes);
  const auto worst_wait = [](const Entry& entry) {
    const double failed = entry.probes.pings.num_failed + entry.probes.answers.num_failed > 0;
    return 1e6 * failed + std::max(entry.probes.pings.P99(), entry.probes.answers.P99());
  };
  if (worst_wait(b) < worst_wait(a)) best.probes = b.probes;
  return best;
}

bool AttackAll(const std::string& program, size_t body_bytes) {
  StartedServer server(program, Flags());
  if (server.port() == 0) {
    std::fputs(server.process().output().c_str(), stderr);
    return false;
  }
  const Target target{server.port(), ServerMeter(server.process().pid())};
  ProbeFor(target.port, Attack::LeavesRoomFor::kRequests, milliseconds(1000));  // warms it up
  Allowance allowance;
  allowance.peak_bytes = target.meter.PeakBytes() + kRequestMemoryBytes + kSlackBytes;
  const std::vector<Attack> attacks = AllAttacks(body_bytes);
  std::vector<Entry> entries;
  for (const Attack& attack : attacks) {
    entries.push_back(Try(target, attack, allowance.quiet));
    fmt::print("{}: {:.3f} s\n", attack.name, entries.back().cost.cpu_seconds);
    std::fflush(stdout);
  }
  for (size_t i = 0; i < attacks.size(); ++i) {
    for (int n = 1; n < kTries && !Verdict(entries[i], allowance).empty(); ++n) {
      entries[i] = Better(entries[i], Try(target, attacks[i], allowance.quiet));
    }
  }
  std::fputs(("\n" + Ledger(entries, allowance) + "\n").c_str(), stdout);
  return std::all_of(entries.begin(), entries.end(),
                     [&](const Entry& entry) { return Verdict(entry, allowance).empty(); });
}

// Whether a server that eight clients attack ends in time and by itself.
bool EndUnder(const std::string& program, const Attack& attack) {
  constexpr int kClients = 8;
  StartedServer server(program, Flags());
  std::atomic<bool> stop{server.port() == 0};
  std::vector<std::thread> clients;
  for (int i = 0; i < kClients; ++i) {
    clients.emplace_back([&] {
      while (!stop) attack.run(server.port());
    });
  }
  std::this_thread::sleep_for(milliseconds(1000));
  const auto start = Clock::now();
  server.process().Signal(SIGTERM);
  const int exit_code = server.process().Wait();
  const double seconds = std::chrono::duration<double>(Clock::now() - start).count();
  stop = true;
  for (std::thread& client : clients) client.join();
  const bool ok = exit_code >= 0 && seconds <= kMaxEndSeconds;
  fmt::print("{:42} {:7.2f} s, exit code {}  {}\n", attack.name, seconds, exit_code,
             ok ? "ok" : "TOO LATE OR BY A SIGNAL");
  std::fflush(stdout);
  return ok;
}

bool EndUnderAll(const std::string& program, size_t body_bytes) {
  fmt::print("SIGTERM while eight clients attack; at most {} s are allowed\n", kMaxEndSeconds);
  std::vector<Attack> attacks;
  for (const Body& body : AllBodies()) attacks.push_back(BodyAttack(body, body_bytes));
  attacks.push_back(LongAnswerAttack());
  attacks.push_back(CrowdAttack({.connections = 5, .body_bytes = body_bytes}));
  attacks.push_back(
      DripAttack({.connections = 8, .bytes_per_second = 620, .time = milliseconds(8000)}));
  bool ok = true;
  for (const Attack& attack : attacks) ok = EndUnder(program, attack) && ok;
  return ok;
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
  const size_t body_bytes = std::min(megabytes, kMaxMegabytes) * 1'000'000;
  const bool cheap = dray::attack::AttackAll(argv[1], body_bytes);
  const bool ends = dray::attack::EndUnderAll(argv[1], body_bytes);
  std::puts(cheap && ends ? "\nall within their allowances" : "\nNOT all within their allowances");
  return cheap && ends ? 0 : 1;
}
