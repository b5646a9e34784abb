// Attacks on a server on this machine, each bounded in connections, bytes and time.
#pragma once

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <optional>
#include <string>

#include "attack/bodies.h"

namespace dray::attack {

// What an attack has sent, and what came back.
struct Sent {
  uint64_t bytes = 0;
  // Of the answer, or the largest of several; 0: none came. Absent if the attack waits for none.
  std::optional<int> status;
};

struct Attack {
  // What other clients can hope for meanwhile: an attack may take every connection, but health checks have
  // some of their own.
  enum class LeavesRoomFor { kRequests, kHealthChecks };

  std::string name;
  // Sends it once and waits for the answers.
  std::function<Sent(uint16_t port)> run;
  LeavesRoomFor leaves_room_for = LeavesRoomFor::kRequests;
};

// One body.
Attack BodyAttack(const Body& body, size_t bytes);

// The same body, compressed.
Attack CompressedAttack(const Body& body, size_t bytes);

struct Crowd {
  int connections = 0;
  size_t body_bytes = 0;
};
// Bodies on many connections at once, each complete, that wait behind each other.
Attack CrowdAttack(const Crowd& crowd);

struct Drip {
  int connections = 0;
  double bytes_per_second = 0;
  std::chrono::milliseconds time{};
};
// Bodies that come slowly on many connections. A client that is thrown out comes back.
Attack DripAttack(const Drip& drip);

// A request that takes as many steps as the model's context allows, for each of 16 inputs.
Attack LongAnswerAttack();

// Chunks of one byte, each with extensions of `extension_bytes`.
Attack ChunkAttack(size_t chunks, size_t extension_bytes);

}  // namespace dray::attack
