#include "bench/model_cost.h"

#include "model/weights/weights.h"

namespace dray::bench {
namespace {

using model::Slot;

// Of a table only the rows of the step's tokens are read. A head that is tied to the embedding
// table is a matrix: it is read whole.
bool IsTable(Slot slot, const model::ModelConfig& config) {
  return (slot == Slot::kTokenEmbedding && !config.tied_head) || slot == Slot::kPositionEmbedding;
}

bool IsHead(Slot slot) {
  return slot == Slot::kHead || slot == Slot::kTokenEmbedding || slot == Slot::kProjectOut;
}

// The rows of activations that a slot's matrix is multiplied with. The head computes only the last
// row of each sequence.
double InputsOf(Slot slot, const PassShape& shape) {
  return static_cast<double>(shape.sequences) *
         (IsHead(slot) ? 1.0 : static_cast<double>(shape.rows));
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
      if (matrix != nullptr) AddProducts(matrix->spec(), InputsOf(slot, shape), cost);
    });
  }
  const double layer_bytes = kv_token_bytes / static_cast<double>(config.stack.num_layers);
  for (const int64_t window : config.stack.window) {
    AddAttention(shape,
                 {.window = window,
                  .query_width = static_cast<double>(config.stack.query_width()),
                  .token_bytes = layer_bytes},
                 cost);
  }
  return cost;
}

PassCost CostOfTexts(const engine::LoadedModel& model, const std::vector<int64_t>& lengths,
                     DType kv_dtype) {
  const model::StackConfig& stack = model.description.config.stack;
  double tokens = 0, pairs = 0;
  for (const int64_t length : lengths) {
    tokens += static_cast<double>(length);
    pairs += static_cast<double>(length * length);
  }
  PassCost cost;
  for (const engine::RankModel& rank : model.ranks) {
    rank.weights.ForEach([&](Slot slot, int64_t layer, int64_t, size_t bytes) {
      if (slot < model::kFirstLayerSlot) return;
      cost.bytes += static_cast<double>(bytes);
      const kernels::WeightMatrix* matrix = rank.weights.Matrix(slot, layer);
      if (matrix != nullptr) AddProducts(matrix->spec(), tokens, cost);
    });
  }
  // Products of queries and keys, and of scores and values. No instruction multiplies floats of 16 bits
  // other than bf16 faster than f32.
  const double products = 2 * pairs * static_cast<double>(stack.query_width() * stack.num_layers);
  (kv_dtype == DType::kF32 ? cost.f32 : cost.bf16) += products;
  return cost;
}

}  // namespace dray::bench
