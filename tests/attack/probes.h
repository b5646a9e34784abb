// Other clients of a server that is attacked: how long they wait, and what they are answered.
#pragma once

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <string>
#include <vector>

#include "attack/attacks.h"

namespace dray::attack {

// What the requests of one kind met.
struct Waits {
  // Of each request, from connecting to the end of its answer, in seconds.
  std::vector<double> seconds;
  // How many had another status than 200, and the answer to the last of these.
  size_t num_failed = 0;
  std::string last_failure;

  // The 99th percentile; 0 without requests.
  double P99() const;
};

struct Probes {
  Waits pings;    // GET /ping
  Waits answers;  // a short prompt, one new token

  void Add(const Probes& more);
};

// Asks for `time`, one request after another with pauses of 2 ms.
Probes ProbeFor(uint16_t port, Attack::LeavesRoomFor leaves_room_for,
                std::chrono::milliseconds time);

// Runs the attack again and again for at least `time` and asks meanwhile. Each request begins and ends while
// the attack runs, but for the last.
Probes ProbeDuring(uint16_t port, const Attack& attack, std::chrono::milliseconds time);

}  // namespace dray::attack
