// The forward passes of a request, and what each costs a rank.
#pragma once

#include <cstdint>
#include <vector>

#include "bench/pass_cost.h"
#include "plan/cost/memory.h"
#include "plan/cost/workload.h"
#include "plan/shape/model_shape.h"

namespace dray::plan {

// What a pass computes: the encoder with the keys and values of cross-attention, or the decoder.
enum class PassKind : uint8_t { kEncoder, kDecoder };
enum class PassEnd : uint8_t { kStream, kLogits };

struct Pass {
  PassKind kind = PassKind::kDecoder;
  PassEnd end = PassEnd::kLogits;  // whether the last token of each sequence gets logits
  bench::PassShape shape;
  int64_t input_tokens = 0;  // that cross-attention reads
  // The pass begins when the one before it has passed all stages; others follow each other from stage to stage.
  bool waits = false;
};

// From the prompts to the first token of every sequence. A decoder reads prompts in steps of at most
// step_tokens, an encoder reads all of them at once.
std::vector<Pass> PromptPasses(const ShapeFacts& facts, const Workload& workload);
// One new token of each of `sequences` sequences, at the mean context of their new tokens.
Pass DecodePass(const ShapeFacts& facts, const Workload& workload, int64_t sequences);

bench::PassCost CostOf(const RankShare& share, const Pass& pass, const Formats& formats,
                       Packing packing);

}  // namespace dray::plan
