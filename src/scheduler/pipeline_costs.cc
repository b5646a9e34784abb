#include "scheduler/pipeline_costs.h"

#include <algorithm>
#include <cmath>

#include "base/checked_math.h"

namespace dray::scheduler {
namespace {

// Filling the pipeline may take this part of the time of all prompts.
constexpr int64_t kStepsToFill = 32;
// Rows of a step below which the kernels multiply more slowly.
constexpr int64_t kLeastRows = 32;
// A step whose arithmetic takes twice as long as its reading hides the reading well.
constexpr double kRowsPerBalance = 2;

double ReadSeconds(const PipelineCosts& costs, int64_t busy) {
  const double share = static_cast<double>(busy) / static_cast<double>(costs.num_stages);
  return std::max(costs.read_alone, costs.read_together * share);
}

}  // namespace

double StageSeconds(const PipelineCosts& costs, int64_t rows, int64_t busy) {
  return std::max(ReadSeconds(costs, busy), static_cast<double>(rows) * costs.row);
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

int64_t PromptStepTokens(const PipelineCosts& costs, const PromptWork& work, int64_t most) {
  // The pieces of one prompt follow each other through all stages, whatever their size.
  if (costs.num_stages == 1 || work.num_prompts < 2) return most;
  const double balance = ReadSeconds(costs, costs.num_stages) / costs.row;
  const double least = std::ceil(kRowsPerBalance * balance);
  if (least >= static_cast<double>(most)) return most;
  const int64_t to_fill = work.num_tokens / (kStepsToFill * (costs.num_stages - 1));
  return std::min(most, std::max({to_fill, kLeastRows, static_cast<int64_t>(least)}));
}

}  // namespace dray::scheduler
