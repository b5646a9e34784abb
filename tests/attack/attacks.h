// Attacks on a server on this machine, each bounded in connections, bytes and time, and what they cost it.
#pragma once

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "attack/bodies.h"
#include "attack/server_meter.h"

namespace dray::attack {

// The server under attack.
struct Target {
  uint16_t port = 0;
  ServerMeter meter;
};

// One line of the ledger.
struct Cost {
  std::string name;
  uint64_t sent_bytes = 0;
  // Of the answer, or of the worst of several; 0: none came.
  int status = 0;
  double cpu_seconds = 0;
  // How much the server's physical memory rose above what it was before.
  uint64_t memory_bytes = 0;
  // The 99th percentile of another client's requests meanwhile, and before.
  double probe_p99_s = 0;
  double quiet_p99_s = 0;

  // By an error that is the client's or the load's fault, and not a bug.
  bool was_refused() const { return status >= 400 && status != 500; }
  // What a refusal may cost: 0.01 s for each MB that was sent, and 20 ms.
  double AllowedCpuSeconds() const;
  // Whether a refusal cost no more. An answer may cost what it takes to generate it.
  bool is_cheap() const { return status == 200 || cpu_seconds <= AllowedCpuSeconds(); }
};

// Sends one body and waits for its answer.
Cost SendBody(const Target& target, const Body& body, size_t bytes);

struct Crowd {
  int connections = 0;
  size_t body_bytes = 0;
};
// Bodies on many connections at once, each complete, that wait behind each other.
Cost SendManyBodies(const Target& target, const Crowd& crowd);

struct Drip {
  int connections = 0;
  double bytes_per_second = 0;
  std::chrono::milliseconds time{};
};
// Bodies that come slowly on many connections. `status` is the worst answer of /ping meanwhile, which is
// asked ten times a second.
Cost DripBodies(const Target& target, const Drip& drip);

// Chunks of one byte, each with extensions of `extension_bytes`.
Cost SendChunks(const Target& target, size_t chunks, size_t extension_bytes);

// A table with one line for each cost, and a verdict.
std::string Ledger(const std::vector<Cost>& costs);

}  // namespace dray::attack
