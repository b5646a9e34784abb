#include "plan/cost/pass.h"

#include <algorithm>

#include "base/checked_math.h"

namespace dray::plan {
namespace {

// Whether the pass reads a weight of this use.
bool Reads(const Pass& pass, WeightUse use) {
  switch (use) {
    case WeightUse::kLookup:
      return false;
    case WeightUse::kInput:
      return pass.kind == PassKind::kEncoder;
    case WeightUse::kToken:
      return pass.kind == PassKind::kDecoder;
    case WeightUse::kLogits:
      return pass.kind == PassKind::kDecoder && pass.end == PassEnd::kLogits;
  }
  return false;
}

// A prompt of more than step_tokens in pieces.
void AddPieces(const Workload& workload, std::vector<Pass>& passes) {
  for (int64_t done = 0; done < workload.prompt_tokens;) {
    const int64_t rows = std::min(workload.step_tokens, workload.prompt_tokens - done);
    done += rows;
    passes.push_back(
        {.end = done == workload.prompt_tokens ? PassEnd::kLogits : PassEnd::kStream,
         .shape = {.sequences = 1, .rows = rows, .context = static_cast<double>(done)}});
  }
}

void AddAttentionOf(const AttentionShare& attention, const Pass& pass, double token_bytes,
                    bench::PassCost& cost) {
  const auto layers = static_cast<double>(attention.windows.size());
  const auto width = static_cast<double>(attention.query_width());
  const auto sequences = static_cast<double>(pass.shape.sequences);
  const auto rows = static_cast<double>(pass.shape.rows);
  const auto inputs = static_cast<double>(pass.input_tokens);
  const bool encodes = pass.kind == PassKind::kEncoder;
  switch (attention.kind) {
    case AttentionKind::kCausal:
      if (encodes) return;
      for (const int64_t window : attention.windows) {
        AddAttention(pass.shape,
                     {.window = window, .query_width = width, .token_bytes = token_bytes}, cost);
      }
      return;
    case AttentionKind::kBidirectional:
      if (encodes) cost.bf16 += layers * sequences * 2 * rows * rows * width;
      return;
    case AttentionKind::kCross:
      // The encoder's pass writes what the decoder's passes read.
      cost.bytes += layers * sequences * inputs * token_bytes;
      if (!encodes) cost.bf16 += layers * sequences * 2 * rows * inputs * width;
      return;
  }
}

}  // namespace

std::vector<Pass> PromptPasses(const ShapeFacts& facts, const Workload& workload) {
  std::vector<Pass> passes;
  const auto prompt = static_cast<double>(workload.prompt_tokens);
  if (facts.has_encoder()) {
    passes.push_back({.kind = PassKind::kEncoder,
                      .end = PassEnd::kStream,
                      .shape = {workload.batch, workload.prompt_tokens, prompt},
                      .input_tokens = workload.prompt_tokens});
    passes.push_back(
        {.shape = {workload.batch, 1, 1}, .input_tokens = workload.prompt_tokens, .waits = true});
    return passes;
  }
  const int64_t together = workload.step_tokens / workload.prompt_tokens;
  for (int64_t first = 0; first < workload.batch; first += std::max<int64_t>(1, together)) {
    if (together <= 1) {
      AddPieces(workload, passes);
      continue;
    }
    const int64_t sequences = std::min(together, workload.batch - first);
    passes.push_back({.shape = {sequences, workload.prompt_tokens, prompt}});
  }
  return passes;
}

Pass DecodePass(const ShapeFacts& facts, const Workload& workload, int64_t sequences) {
  const double half = static_cast<double>(workload.new_tokens) / 2;
  Pass pass;
  pass.shape = {sequences, 1, static_cast<double>(workload.prompt_tokens) + half};
  if (facts.has_encoder()) {
    pass.shape.context = 1 + half;
    pass.input_tokens = workload.prompt_tokens;
  }
  return pass;
}

bench::PassCost CostOf(const RankShare& share, const Pass& pass, const Formats& formats,
                       Packing packing) {
  bench::PassCost cost;
  const auto sequences = static_cast<double>(pass.shape.sequences);
  for (const WeightShare& weight : share.weights) {
    if (!Reads(pass, weight.use)) continue;
    const auto layers = static_cast<double>(weight.layers);
    cost.bytes += layers * WeightBytes(weight, formats, packing);
    if (!weight.is_matrix) continue;
    const double rows =
        weight.use == WeightUse::kLogits ? 1.0 : static_cast<double>(pass.shape.rows);
    AddProducts(SpecOf(weight, formats), layers * sequences * rows, cost);
  }
  for (const AttentionShare& attention : share.attention) {
    AddAttentionOf(attention, pass, CacheTokenBytes(attention, formats.cache), cost);
  }
  return cost;
}

}  // namespace dray::plan
