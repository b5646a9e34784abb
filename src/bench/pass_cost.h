// What one forward pass costs at least: the bytes that must be read and the products that must be
// computed, for weights and attention of any model. With a device's limits they give a time that no
// program can beat.
#pragma once

#include <cstdint>
#include <string_view>

#include "bench/machine_limits.h"
#include "kernels/weight_matrix.h"

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
  double int4 = 0;
  double f16 = 0;
};

// Adds the products of `inputs` rows of activations with a matrix of weights, but no bytes.
void AddProducts(const kernels::MatrixSpec& matrix, double inputs, PassCost& cost);

// The attention of one layer.
struct LayerAttention {
  int64_t window = 0;      // how many tokens a token sees, itself included; 0: all before it
  double query_width = 0;  // numbers in the queries of a token
  double token_bytes = 0;  // of a token's entries in the layer's cache
};

// Adds the products of causal attention, and the cache entries that it reads and writes.
void AddAttention(const PassShape& shape, const LayerAttention& layer, PassCost& cost);

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
