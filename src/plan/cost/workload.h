// What is asked of a planned model, and in which formats it keeps its numbers.
#pragma once

#include <cstdint>

#include "kernels/weight_matrix.h"
#include "tensor/dtype.h"

namespace dray::plan {

// The requests that run at the same time.
struct Workload {
  int64_t batch = 1;            // sequences
  int64_t prompt_tokens = 512;  // of each
  int64_t new_tokens = 128;
  // Tokens of a sequence for which the cache has room, prompt and new ones together.
  int64_t context_tokens = 2048;
  // The most tokens of one step, as EngineOptions::max_batch_tokens.
  int64_t step_tokens = 512;
};

// How a device stores a matrix.
enum class Packing : uint8_t {
  kPlain,   // elements and scales, nothing else
  kPanels,  // as dray packs them for processors
};

struct Formats {
  kernels::WeightForm layers;
  kernels::WeightForm tables;
  DType cache = DType::kF32;
  // Matrices keep the form in which the checkpoint's files store them (WeightShare::stored).
  bool keep_stored = false;
};

}  // namespace dray::plan
