// The least that a model's work can cost: the bytes that must be read and the products that must be
// computed. With the machine's limits they give a time that no program can beat.
#pragma once

#include <cstdint>
#include <string_view>

#include "bench/machine_limits.h"
#include "engine/runner/loaded_model.h"

namespace dray::bench {

// One forward pass over `sequences` sequences. It computes `rows` new tokens of each, after which
// the sequence has `context` tokens, and samples one token of each.
struct PassShape {
  int64_t sequences = 1;
  int64_t rows = 1;
  double context = 1;
};

struct PassCost {
  // All weights once, the cache entries that are read, and those that are written.
  double bytes = 0;
  // Multiply-and-adds, by the kind of instruction that the weights' format needs.
  double f32 = 0;
  double bf16 = 0;
  double int8 = 0;
};

// `kv_token_bytes` is the size of one token's cache entries in all layers.
PassCost CostOf(const engine::LoadedModel& model, const PassShape& shape, double kv_token_bytes);

enum class Bound { kMemory, kArithmetic };
std::string_view Name(Bound bound);

struct Floor {
  double seconds = 0;
  Bound bound = Bound::kMemory;
};

// The time for the bytes or the time for the arithmetic, whichever is longer. Products for which
// the machine has no instruction are counted as f32.
Floor FloorOf(const PassCost& cost, const LimitsSample& limits);

}  // namespace dray::bench
