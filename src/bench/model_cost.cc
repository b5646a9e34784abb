#include "bench/model_cost.h"

#include <algorithm>

#include "model/weights/weights.h"

namespace dray::bench {
namespace {

using kernels::WeightFormat;
using model::Slot;

// Of a table only the rows of the step's tokens are read. A head that is tied to the embedding
// table is a matrix: it is read whole.
bool IsTable(Slot slot, const model::ModelConfig& config) {
  return (slot == Slot::kTokenEmbedding && !config.tied_head) || slot == Slot::kPositionEmbedding;
}

bool IsHead(Slot slot) {
  return slot == Slot::kHead || slot == Slot::kTokenEmbedding || slot == Slot::kProjectOut;
}

void AddProducts(WeightFormat format, double products, PassCost& cost) {
  switch (format) {
    case WeightFormat::kBF16:
      cost.bf16 += products;
      return;
    case WeightFormat::kI8:
    case WeightFormat::kI4:
      cost.int8 += products;
      return;
    default:
      cost.f32 += products;
  }
}

void AddMatrix(Slot slot, const kernels::WeightMatrix& matrix, const PassShape& shape,
               PassCost& cost) {
  // The head computes only the last row of each sequence.
  const auto rows =
      static_cast<double>(shape.sequences) * (IsHead(slot) ? 1.0 : static_cast<double>(shape.rows));
  const bool as_bf16 =
      matrix.spec().inputs == kernels::Inputs::kFloat && matrix.format() == WeightFormat::kI8;
  AddProducts(as_bf16 ? WeightFormat::kBF16 : matrix.format(),
              rows * static_cast<double>(matrix.rows()) * static_cast<double>(matrix.cols()), cost);
}

// For one layer and one sequence: how many tokens' keys and values are read, and how many pairs of
// query and key there are.
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

PassCost CostOf(const engine::LoadedModel& model, const PassShape& shape, double kv_token_bytes) {
  const model::ModelConfig& config = model.description.config;
  PassCost cost;
  for (const engine::RankModel& rank : model.ranks) {
    rank.weights.ForEach([&](Slot slot, int64_t layer, int64_t, size_t bytes) {
      if (IsTable(slot, config)) return;
      cost.bytes += static_cast<double>(bytes);
      const kernels::WeightMatrix* matrix = rank.weights.Matrix(slot, layer);
      if (matrix != nullptr) AddMatrix(slot, *matrix, shape, cost);
    });
  }
  const auto sequences = static_cast<double>(shape.sequences);
  const double layer_bytes = kv_token_bytes / static_cast<double>(config.stack.num_layers);
  for (const int64_t window : config.stack.window) {
    const Attention attention = AttentionOf(shape, window);
    // The entries of new tokens are written, those of the others are read once.
    cost.bytes += sequences * layer_bytes * attention.tokens;
    // The products of queries and keys, and those of scores and values. They are counted at the
    // bf16 rate, the fastest rate for floats.
    cost.bf16 += sequences * 2 * attention.pairs * static_cast<double>(config.stack.query_width());
  }
  return cost;
}

std::string_view Name(Bound bound) { return bound == Bound::kMemory ? "memory" : "arithmetic"; }

Floor FloorOf(const PassCost& cost, const LimitsSample& limits) {
  const double bf16 = limits.bf16 > 0 ? limits.bf16 : limits.f32;
  const double int8 = limits.int8 > 0 ? limits.int8 : limits.f32;
  const double arithmetic = cost.f32 / limits.f32 + cost.bf16 / bf16 + cost.int8 / int8;
  const double memory = cost.bytes / limits.read_bandwidth;
  if (arithmetic > memory) return {arithmetic, Bound::kArithmetic};
  return {memory, Bound::kMemory};
}

}  // namespace dray::bench
