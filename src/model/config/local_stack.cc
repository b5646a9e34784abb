#include "model/config/local_stack.h"

#include <algorithm>
#include <vector>

namespace dray::model {

StackConfig LocalStack(const StackConfig& stack, parallel::Rank rank, parallel::Stage stage) {
  const parallel::HeadSlices heads = parallel::CutHeads(stack.num_heads, stack.num_kv_heads, rank);
  StackConfig local = stack;
  local.num_heads = heads.query.local_size;
  local.num_kv_heads = heads.key_value.local_size;
  local.ffn = parallel::CutFeatures(stack.ffn, rank).local_size;
  const parallel::LayerRange layers = parallel::CutLayers(stack.num_layers, stage);
  local.num_layers = layers.size();
  local.attention_scale.assign(stack.attention_scale.begin() + layers.begin,
                               stack.attention_scale.begin() + layers.end);
  local.window.assign(stack.window.begin() + layers.begin, stack.window.begin() + layers.end);
  if (stack.alibi_slopes.empty()) return local;
  local.alibi_slopes.assign(static_cast<size_t>(local.num_heads), 0.0f);
  for (const parallel::Piece& piece : heads.query.pieces) {
    std::copy_n(stack.alibi_slopes.begin() + piece.global, piece.count,
                local.alibi_slopes.begin() + piece.local);
  }
  return local;
}

int64_t MaxStages(const ModelConfig& config) {
  return config.encoder ? std::min(config.encoder->num_layers, config.stack.num_layers)
                        : config.stack.num_layers;
}

}  // namespace dray::model
