#include "bench/pass_cost.h"

#include <algorithm>

namespace dray::bench {
namespace {

using kernels::WeightFormat;

// How many tokens' keys and values one sequence reads, and how many pairs of query and key there
// are.
struct Attention {
  double tokens = 0;
  double pairs = 0;
};

Attention AttentionOf(const PassShape& shape, int64_t window) {
  const auto rows = static_cast<double>(shape.rows);
  const double seen = window > 0 ? static_cast<double>(window) : shape.context;
  const double first = shape.context - rows + 1;  // tokens that the first new token sees
  // The new tokens see from `first` to `context` tokens, each at most the window.
  const double most = std::min(seen, shape.context);
  const double least = std::min(seen, first);
  return {.tokens = std::min(shape.context, most + rows - 1), .pairs = rows * (least + most) / 2};
}

}  // namespace

void AddProducts(const kernels::MatrixSpec& matrix, double inputs, PassCost& cost) {
  const double products =
      inputs * static_cast<double>(matrix.rows) * static_cast<double>(matrix.cols);
  switch (matrix.format) {
    case WeightFormat::kF32:
      cost.f32 += products;
      return;
    case WeightFormat::kF16:
      cost.f16 += products;
      return;
    case WeightFormat::kBF16:
      cost.bf16 += products;
      return;
    case WeightFormat::kI8:
      (matrix.inputs == kernels::Inputs::kFloat ? cost.bf16 : cost.int8) += products;
      return;
    case WeightFormat::kI4:
      cost.int4 += products;
      return;
  }
}

void AddAttention(const PassShape& shape, const LayerAttention& layer, PassCost& cost) {
  const auto sequences = static_cast<double>(shape.sequences);
  const Attention attention = AttentionOf(shape, layer.window);
  // The entries of new tokens are written, those of the others are read once.
  cost.bytes += sequences * layer.token_bytes * attention.tokens;
  // The products of queries and keys, and those of scores and values. They are counted at the
  // bf16 rate, the fastest rate for floats.
  cost.bf16 += sequences * 2 * attention.pairs * layer.query_width;
}

std::string_view Name(Bound bound) { return bound == Bound::kMemory ? "memory" : "arithmetic"; }

Floor FloorOf(const PassCost& cost, const LimitsSample& limits) {
  const auto seconds = [&](double products, double rate) {
    return products / (rate > 0 ? rate : limits.f32);
  };
  const double arithmetic = seconds(cost.f32, limits.f32) + seconds(cost.bf16, limits.bf16) +
                            seconds(cost.f16, limits.f16) + seconds(cost.int8, limits.int8) +
                            seconds(cost.int4, limits.int4 > 0 ? limits.int4 : limits.int8);
  const double memory = cost.bytes / limits.read_bandwidth;
  if (arithmetic > memory) return {arithmetic, Bound::kArithmetic};
  return {memory, Bound::kMemory};
}

}  // namespace dray::bench
