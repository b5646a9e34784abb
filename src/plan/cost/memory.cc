#include "plan/cost/memory.h"

#include <algorithm>

#include "base/checked_math.h"
#include "kernels/cpu/pack/panel_layout.h"
#include "kernels/packer.h"
#include "model/forward/kv_cache.h"

namespace dray::plan {
namespace {

using kernels::WeightFormat;

constexpr double kF32Bytes = 4;
// The engine's blocks of cache (EngineOptions::block_size): a sequence has whole ones.
constexpr int64_t kBlockTokens = 32;
// A runner computes logits in pieces of this size (engine/runner/piece_runner.cc).
constexpr int64_t kLogitsBytes = int64_t{16} << 20;

double ElementBits(WeightFormat format) {
  switch (format) {
    case WeightFormat::kF32:
      return 32;
    case WeightFormat::kF16:
    case WeightFormat::kBF16:
      return 16;
    case WeightFormat::kI8:
      return 8;
    case WeightFormat::kI4:
      return 4;
  }
  return 32;
}

double PlainBytes(const kernels::MatrixSpec& spec) {
  const auto rows = static_cast<double>(spec.rows), cols = static_cast<double>(spec.cols);
  const double elements = rows * cols * ElementBits(spec.format) / 8;
  const int64_t group = kernels::GroupOf(spec);
  if (group > 0) {
    // An f16 scale for each group, and as much for its zero point.
    const double of_group = spec.zero == kernels::ZeroPoint::kPerGroup ? 4 : 2;
    return elements + rows * static_cast<double>(DivideRoundUp(spec.cols, group)) * of_group;
  }
  return elements + (spec.format == WeightFormat::kI8 ? rows * kF32Bytes : 0);
}

// Tokens of one sequence for which a cache of this kind has room.
int64_t CachedTokens(AttentionKind kind, const Workload& workload) {
  switch (kind) {
    case AttentionKind::kCausal:
      return RoundUp(workload.context_tokens, kBlockTokens);
    case AttentionKind::kCross:
      return workload.prompt_tokens;
    case AttentionKind::kBidirectional:
      break;
  }
  return 0;
}

}  // namespace

kernels::MatrixSpec SpecOf(const WeightShare& weight, const Formats& formats) {
  const kernels::WeightForm& asked = weight.in_layers ? formats.layers : formats.tables;
  const auto whole = kernels::MatrixSpec::Of(
      weight.rows, weight.cols, formats.keep_stored ? weight.stored.value_or(asked) : asked);
  return kernels::PartSpec(
      whole,
      {.rows = weight.rows, .pieces = {}, .first_col = weight.first_col, .cols = weight.cols});
}

double MatrixBytes(const kernels::MatrixSpec& spec, Packing packing) {
  if (packing == Packing::kPlain) return PlainBytes(spec);
  return static_cast<double>(kernels::PanelLayout(spec).storage_bytes());
}

double WeightBytes(const WeightShare& weight, const Formats& formats, Packing packing) {
  if (!weight.is_matrix) return kF32Bytes * static_cast<double>(weight.elements());
  return MatrixBytes(SpecOf(weight, formats), packing);
}

double CacheTokenBytes(const AttentionShare& attention, DType dtype) {
  model::StackConfig layer;
  layer.num_layers = 1;
  layer.num_kv_heads = attention.num_kv_heads;
  layer.head_dim = attention.head_dim;
  return static_cast<double>(
      model::KvCache::BlockBytes(layer, {.num_blocks = 1, .block_size = 1, .dtype = dtype}));
}

RankMemory MemoryOf(const RankShare& share, const Formats& formats, const Workload& workload,
                    Packing packing) {
  RankMemory memory;
  for (const WeightShare& weight : share.weights) {
    const double bytes = static_cast<double>(weight.layers) * WeightBytes(weight, formats, packing);
    memory.weights += bytes;
    if (weight.is_replicated) memory.replicated += bytes;
    if (weight.elements() > 0) {
      memory.padding += bytes * static_cast<double>(weight.elements() - weight.model_elements) /
                        static_cast<double>(weight.elements());
    }
  }
  for (const AttentionShare& attention : share.attention) {
    memory.cache += static_cast<double>(attention.windows.size()) *
                    static_cast<double>(workload.batch * CachedTokens(attention.kind, workload)) *
                    CacheTokenBytes(attention, formats.cache);
  }
  // As engine::WithSmallPieces chooses them.
  const int64_t logit_rows =
      std::clamp<int64_t>(kLogitsBytes / std::max<int64_t>(1, 4 * share.numbers_per_logit_row), 1,
                          workload.step_tokens);
  memory.activations =
      kF32Bytes * static_cast<double>(workload.step_tokens * share.numbers_per_token +
                                      logit_rows * share.numbers_per_logit_row);
  return memory;
}

}  // namespace dray::plan
