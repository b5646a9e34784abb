// A processor of the worker set (worker_set.h), and what the threads share that compute together.
#pragma once

#include <atomic>
#include <chrono>
#include <cstdint>
#include <thread>

namespace dray {

class TurnSeries;

// What threads share that compute one region after another.
struct Team {
  using Region = void (*)(const void* context, int thread_idx);
  // Each on a cache line of its own: others spin on them.
  alignas(64) std::atomic<uint32_t> pending{0};
  alignas(64) std::atomic<uint32_t> barrier_count{0};
  alignas(64) std::atomic<uint32_t> barrier_phase{0};
  Region region = nullptr;
  const void* context = nullptr;
};

// Whose turn a place is; guarded by the mutex of PlaceTurns.
struct PlaceTurn {
  using Clock = std::chrono::steady_clock;
  bool taken = false;
  Clock::duration last_length{0};  // of the last turn that consisted of steps
  // A place that is not taken may be kept for the next part of a series.
  const TurnSeries* kept_for = nullptr;
  Clock::time_point kept_until = Clock::time_point::min();
};

// One processor's part of the set, on a cache line of its own since its thread spins on it.
struct alignas(64) WorkPlace {
  std::atomic<uint32_t> posts{0};
  Team* team = nullptr;
  int thread_idx = 0;
  bool stop = false;
  PlaceTurn turn;
  std::thread thread;
};

}  // namespace dray
