// What each attack cost the server and its other clients, and whether that is acceptable.
#pragma once

#include <sys/types.h>

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "attack/attacks.h"
#include "attack/probes.h"
#include "attack/server_meter.h"

namespace dray::attack {

// The server under attack.
struct Target {
  uint16_t port = 0;
  ServerMeter meter;
};

// What it cost to send an attack once, while nothing else happened.
struct Cost {
  std::string name;
  Sent sent;
  double cpu_seconds = 0;
  // The most physical memory of the server meanwhile.
  uint64_t peak_bytes = 0;

  // By an error that is the client's or the load's fault, and not a bug.
  bool was_refused() const { return sent.status && *sent.status >= 400 && *sent.status != 500; }
  // What a refusal may cost: 0.01 s for each MB that was sent, and 20 ms.
  double AllowedCpuSeconds() const;
};
Cost Measure(const Target& target, const Attack& attack);

// One line of the ledger: an attack that was sent several times.
struct Entry {
  Cost cost;  // the least of several, but the highest peak
  Probes probes;
};

// What entries are judged by.
struct Allowance {
  uint64_t peak_bytes = 0;
  Probes quiet;  // probes without an attack
};

// Names what is wrong with the entry; "" if nothing is.
//
// Other clients may wait twice as long as without an attack, where at least 10 ms are allowed for: an answer
// takes some three wake-ups of threads, and on a machine whose processors the attackers keep busy each may
// wait for the 3 ms that the kernel lets another thread run on.
std::string Verdict(const Entry& entry, const Allowance& allowance);

// A table with one line for each entry, and its verdict.
std::string Ledger(const std::vector<Entry>& entries, const Allowance& allowance);

}  // namespace dray::attack
