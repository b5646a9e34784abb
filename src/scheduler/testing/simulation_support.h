// What the simulator of the scheduler (simulation_test.cc) is made of: repeatable chance, and the
// clients whose tokens are known beforehand.
#pragma once

#include <cstdint>
#include <vector>

#include "base/ids.h"
#include "scheduler/sequence.h"

namespace dray::scheduler {

inline uint64_t Mix(uint64_t a, uint64_t b) {
  uint64_t x = a * 0x9E3779B97F4A7C15u ^ (b + 0xBF58476D1CE4E5B9u);
  x = (x ^ (x >> 30)) * 0xBF58476D1CE4E5B9u;
  x = (x ^ (x >> 27)) * 0x94D049BB133111EBu;
  return x ^ (x >> 31);
}

class Random {
 public:
  explicit Random(uint64_t seed) : state_(seed) {}
  // Uniform in [low, high].
  int64_t Between(int64_t low, int64_t high) {
    return low + static_cast<int64_t>(Next() % static_cast<uint64_t>(high - low + 1));
  }
  bool OneIn(int64_t n) { return Between(1, n) == 1; }
  uint64_t Next() { return Mix(++state_, 0x5EED); }

 private:
  uint64_t state_;
};

// What a sequence would compute alone, and how far it has come.
struct Client {
  SequenceId id;
  Order order;  // as the scheduler's documentation promises it
  uint64_t prompt_seed = 0;
  uint64_t sample_seed = 0;
  int64_t num_prompt_tokens = 0;
  int64_t max_new_tokens = 0;
  int64_t finish_at = 0;  // ends at so many new tokens, as by an end token
  bool is_fork = false;
  std::vector<uint64_t> values;  // by position, of all known tokens; the truth
  int64_t num_computed = 0;
  bool running = false;
  int64_t num_steps = 0;    // that are planned, compute it, and have not run yet
  int64_t num_planned = 0;  // tokens that are computed after them
  bool cancelled = false;   // while in flight

  bool in_flight() const { return num_steps > 0; }
  int64_t num_known() const { return static_cast<int64_t>(values.size()); }
  int64_t num_generated() const { return num_known() - num_prompt_tokens; }
  // The next token, given the value at the last known position.
  uint64_t Sample(uint64_t value) const { return Mix(value, sample_seed); }
  void AppendToken(uint64_t token) {
    values.push_back(Mix(values.empty() ? prompt_seed : values.back(), token));
  }
};

}  // namespace dray::scheduler
