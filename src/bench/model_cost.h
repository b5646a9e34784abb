// What a model's work costs at least: the bytes that must be read and the products that must be
// computed, and from these and the machine's limits the time that no program can beat.
#pragma once

#include <cstdint>
#include <string_view>

#include "bench/machine_limits.h"
#include "engine/runner/loaded_model.h"

namespace dray::bench {

// One forward pass: `sequences` of them, each with `rows` new tokens, after which it has `context`
// tokens. Each samples one token.
struct PassShape {
  int64_t sequences = 1;
  int64_t rows = 1;
  double context = 1;
};

struct PassCost {
  // Weights once, the cache of all sequences, and what is written to it.
  double bytes = 0;
  // Multiply-and-adds by the kind of instruction that the weights' format wants.
  double f32 = 0;
  double bf16 = 0;
  double int8 = 0;
};

// `kv_token_bytes`: what the cache holds for one token of one sequence, all layers together.
PassCost CostOf(const engine::LoadedModel& model, const PassShape& shape, double kv_token_bytes);

enum class Bound { kMemory, kArithmetic };
std::string_view Name(Bound bound);

struct Floor {
  double seconds = 0;
  Bound bound = Bound::kMemory;
};

// The larger of the times for the bytes and for the arithmetic. Products for which the machine has
// no instruction of their kind are counted as f32.
Floor FloorOf(const PassCost& cost, const LimitsSample& limits);

}  // namespace dray::bench
