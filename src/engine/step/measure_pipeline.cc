#include "engine/step/measure_pipeline.h"

#include <algorithm>
#include <chrono>
#include <limits>
#include <vector>

#include "base/checked_math.h"

namespace dray::engine {
namespace {

using Clock = std::chrono::steady_clock;

// Enough rows for the arithmetic to take longer than reading the weights on most machines.
constexpr int64_t kRows = 32;
// The shortest of this many steps counts: other programs can only make a step longer.
constexpr int kRepeats = 3;

class PipelineTimer {
 public:
  PipelineTimer(ModelRunner& runner, const RunnerSpec& spec, const MeasuredPipeline& pipeline,
                Clock::time_point (*now)())
      : runner_(runner),
        spec_(spec),
        num_stages_(pipeline.num_stages),
        num_source_tokens_(pipeline.has_encoder ? 1 : 0),
        now_(now) {}

  Result<scheduler::PipelineCosts> Measure() {
    const auto stages = static_cast<double>(num_stages_);
    const int64_t room = spec_.cache.num_blocks * spec_.cache.block_size - num_source_tokens_;
    const int64_t rows = std::min({kRows, room, spec_.step.max_batch_tokens});
    scheduler::PipelineCosts costs = {.num_stages = num_stages_};
    DRAY_ASSIGN_OR_RETURN(const double one_row, SecondsAlone(1));
    DRAY_ASSIGN_OR_RETURN(const double many_rows, SecondsAlone(rows));
    DRAY_ASSIGN_OR_RETURN(costs.read_together, SecondsOverlapping());
    costs.read_alone = one_row / stages;
    const double further_rows = static_cast<double>(std::max<int64_t>(1, rows - 1));
    costs.row = std::max(0.0, many_rows - one_row) / stages / further_rows;
    return costs;
  }

 private:
  // A step with the first `rows` tokens of one sequence, which wants the logits of the last one.
  RunnerStep MakeStep(int64_t rows) const {
    const int64_t num_tokens = num_source_tokens_ + rows;
    std::vector<BlockId> blocks;
    for (int64_t i = 0; i < DivideRoundUp<int64_t>(num_tokens, spec_.cache.block_size); ++i) {
      blocks.emplace_back(static_cast<int32_t>(i));
    }
    const std::vector<int32_t> tokens(static_cast<size_t>(num_tokens), 0);
    RunnerStep step;
    step.Reserve(spec_);
    step.AppendRows({.first_position = num_source_tokens_,
                     .num_rows = rows,
                     .num_prompt_tokens = num_tokens,
                     .known = tokens,
                     .block_table = blocks,
                     .num_source_tokens = num_source_tokens_},
                    spec_.cache.block_size);
    step.logit_rows.push_back(static_cast<int32_t>(rows - 1));
    return step;
  }

  Status CollectStep() {
    for (;;) {
      const StepPiece piece = runner_.Collect();
      DRAY_RETURN_IF_ERROR(piece.status);
      if (piece.is_last) return OkStatus();
    }
  }

  // Of a step that passes all stages while no other one is in flight.
  Result<double> SecondsAlone(int64_t rows) {
    const RunnerStep step = MakeStep(rows);
    double best = std::numeric_limits<double>::infinity();
    for (int i = 0; i < kRepeats; ++i) {
      const auto start = now_();
      runner_.Submit(step);
      DRAY_RETURN_IF_ERROR(CollectStep());
      best = std::min(best, std::chrono::duration<double>(now_() - start).count());
    }
    return best;
  }

  // Between the ends of two steps of one row while all stages compute.
  Result<double> SecondsOverlapping() {
    const RunnerStep step = MakeStep(1);
    for (int64_t i = 0; i < num_stages_; ++i) runner_.Submit(step);
    double best = std::numeric_limits<double>::infinity();
    for (int i = 0; i <= kRepeats; ++i) {
      const auto start = now_();
      for (int64_t stage = 0; stage < num_stages_; ++stage) {
        DRAY_RETURN_IF_ERROR(CollectStep());
        runner_.Submit(step);
      }
      const std::chrono::duration<double> seconds = now_() - start;
      // The first round fills the pipeline.
      if (i > 0) best = std::min(best, seconds.count() / static_cast<double>(num_stages_));
    }
    for (int64_t i = 0; i < num_stages_; ++i) DRAY_RETURN_IF_ERROR(CollectStep());
    return best;
  }

  ModelRunner& runner_;
  const RunnerSpec& spec_;
  int64_t num_stages_;
  int64_t num_source_tokens_;
  Clock::time_point (*now_)();
};

}  // namespace

Result<scheduler::PipelineCosts> MeasurePipeline(ModelRunner& runner, const RunnerSpec& spec,
                                                 const MeasuredPipeline& pipeline,
                                                 Clock::time_point (*now)()) {
  return PipelineTimer(runner, spec, pipeline, now).Measure();
}

}  // namespace dray::engine
