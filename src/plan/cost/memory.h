// The memory of one rank: its weights with padding and what is replicated, the cache for all sequences, and the
// working memory of a step.
#pragma once

#include <cstdint>

#include "plan/cost/workload.h"
#include "plan/shape/model_shape.h"

namespace dray::plan {

// In bytes.
struct RankMemory {
  double weights = 0;     // all of them
  double padding = 0;     // of `weights`: rows that the model does not have
  double replicated = 0;  // of `weights`: what every rank of the stage holds
  double cache = 0;
  double activations = 0;

  double total() const { return weights + cache + activations; }
};

// The form in which a rank stores a matrix of this kind.
kernels::MatrixSpec SpecOf(const WeightShare& weight, const Formats& formats);
// Bytes of a matrix.
double MatrixBytes(const kernels::MatrixSpec& spec, Packing packing);
// Bytes of a weight in one layer.
double WeightBytes(const WeightShare& weight, const Formats& formats, Packing packing);
// Bytes of a token's keys and values in one layer.
double CacheTokenBytes(const AttentionShare& attention, DType dtype);

RankMemory MemoryOf(const RankShare& share, const Formats& formats, const Workload& workload,
                    Packing packing);

}  // namespace dray::plan
