#include "scheduler/pipeline_costs.h"

#include <algorithm>
#include <cmath>

#include "base/checked_math.h"

namespace dray::scheduler {
namespace {

// Rows of a step below which the kernels multiply more slowly.
constexpr int64_t kLeastRows = 32;

double ReadSeconds(const PipelineCosts& costs, int64_t busy) {
  const double share = static_cast<double>(busy) / static_cast<double>(costs.num_stages);
  return std::max(costs.read_alone, costs.read_together * share);
}

}  // namespace

double StageSeconds(const PipelineCosts& costs, int64_t rows, int64_t busy) {
  return ReadSeconds(costs, busy) + static_cast<double>(rows - 1) * costs.row;
}

double RoundSeconds(const PipelineCosts& costs, int64_t sequences, int64_t micro_batches) {
  const int64_t rows = DivideRoundUp(sequences, micro_batches);
  // A micro-batch passes all stages before its next round. Since there are no more micro-batches
  // than stages, none waits for another one.
  return static_cast<double>(costs.num_stages) * StageSeconds(costs, rows, micro_batches);
}

int64_t NumMicroBatches(const PipelineCosts& costs, int64_t sequences) {
  int64_t best = 1;
  for (int64_t m = 2; m <= std::min(costs.num_stages, sequences); ++m) {
    if (RoundSeconds(costs, sequences, m) < RoundSeconds(costs, sequences, best)) best = m;
  }
  return best;
}

int64_t PromptStepTokens(const PipelineCosts& costs, int64_t num_tokens, int64_t most) {
  if (costs.num_stages == 1) return most;
  // n tokens in steps of r pass S stages in (n / r + S - 1) * (read + r * row) seconds, which is least
  // for r = sqrt(n * read / ((S - 1) * row)).
  const double read = ReadSeconds(costs, costs.num_stages);
  const double to_fill = static_cast<double>(costs.num_stages - 1) * costs.row;
  const double best = std::sqrt(static_cast<double>(num_tokens) * read / to_fill);
  if (!(best < static_cast<double>(most))) return most;
  return std::min(most, std::max(kLeastRows, static_cast<int64_t>(best)));
}

}  // namespace dray::scheduler
