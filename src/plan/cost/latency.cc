#include "plan/cost/latency.h"

#include <algorithm>

#include "base/checked_math.h"
#include "scheduler/pipeline_costs.h"

namespace dray::plan {
namespace {

// Of all stages, of which `busy` compute at the same time.
std::vector<StageTime> TimesOf(const LatencyInputs& inputs, const Pass& pass, int64_t busy) {
  std::vector<StageTime> times;
  for (int64_t stage = 0; stage < inputs.layout.degrees.pipeline; ++stage) {
    times.push_back(TimeOf(inputs, stage, pass, busy));
  }
  return times;
}

// When each stage is done with the passes that were added.
class Timeline {
 public:
  explicit Timeline(int64_t stages) : stages_(static_cast<size_t>(stages), 0.0) {}

  void Add(const Pass& pass, const std::vector<double>& seconds) {
    double done = pass.waits ? end() : 0;
    for (size_t stage = 0; stage < stages_.size(); ++stage) {
      done = std::max(done, stages_[stage]) + seconds[stage];
      stages_[stage] = done;
    }
  }
  double end() const { return stages_.back(); }

 private:
  std::vector<double> stages_;
};

std::vector<double> Seconds(const std::vector<StageTime>& times, double StageTime::*member) {
  std::vector<double> seconds;
  seconds.reserve(times.size());
  for (const StageTime& time : times) seconds.push_back(time.*member);
  return seconds;
}

const StageTime& Slowest(const std::vector<StageTime>& times) {
  return *std::max_element(times.begin(), times.end(), [](const StageTime& a, const StageTime& b) {
    return a.seconds < b.seconds;
  });
}

double SlowestSeconds(const LatencyInputs& inputs, const Pass& pass, int64_t busy) {
  return Slowest(TimesOf(inputs, pass, busy)).seconds;
}

// The work with the steps that the scheduler takes: it cuts the prompts of a pipeline smaller, so that the stages
// have work sooner.
Workload WithStepsOfPipeline(const LatencyInputs& inputs) {
  Workload work = inputs.workload;
  const int64_t stages = inputs.layout.degrees.pipeline;
  if (stages == 1 || work.step_tokens < 2 || inputs.facts.has_encoder()) return work;
  const Pass step = {.shape = {.sequences = 1,
                               .rows = work.step_tokens,
                               .context = static_cast<double>(work.prompt_tokens)}};
  scheduler::PipelineCosts costs = {.num_stages = stages};
  const Pass token = DecodePass(inputs.facts, work, 1);
  costs.read_alone = SlowestSeconds(inputs, token, 1);
  costs.read_together = SlowestSeconds(inputs, token, stages);
  costs.row = std::max(0.0, SlowestSeconds(inputs, step, stages) - costs.read_together) /
              static_cast<double>(work.step_tokens - 1);
  work.step_tokens = PromptStepTokens(costs, work.batch * work.prompt_tokens, work.step_tokens);
  return work;
}

PassesTime PromptTime(const LatencyInputs& inputs) {
  const int64_t stages = inputs.layout.degrees.pipeline;
  Timeline expected(stages), floor(stages), links(stages);
  PassesTime total;
  const std::vector<Pass> passes = PromptPasses(inputs.facts, WithStepsOfPipeline(inputs));
  const int64_t busy = passes.size() > 1 ? stages : 1;
  for (const Pass& pass : passes) {
    const std::vector<StageTime> times = TimesOf(inputs, pass, busy);
    expected.Add(pass, Seconds(times, &StageTime::seconds));
    floor.Add(pass, Seconds(times, &StageTime::floor_seconds));
    links.Add(pass, Seconds(times, &StageTime::link_seconds));
    total.bound = Slowest(times).bound;
  }
  total.seconds = expected.end();
  total.floor_seconds = floor.end();
  total.link_seconds = links.end();
  return total;
}

// A round of a batch that is divided into `parts` micro-batches. A sequence's next token takes the way through
// all stages, or as long as the slowest stage needs for all micro-batches.
PassesTime RoundTime(const LatencyInputs& inputs, int64_t parts) {
  const int64_t sequences = DivideRoundUp(inputs.workload.batch, parts);
  const std::vector<StageTime> times =
      TimesOf(inputs, DecodePass(inputs.facts, inputs.workload, sequences), parts);
  const auto period = [&](double StageTime::*member) {
    double way = 0, slowest = 0;
    for (const StageTime& time : times) {
      way += time.*member;
      slowest = std::max(slowest, time.*member);
    }
    return std::max(way, static_cast<double>(parts) * slowest);
  };
  PassesTime total;
  total.seconds = period(&StageTime::seconds);
  total.floor_seconds = period(&StageTime::floor_seconds);
  total.link_seconds = period(&StageTime::link_seconds);
  total.bound = Slowest(times).bound;
  return total;
}

// As the scheduler does, divides the batch into as many micro-batches as make a round shortest, at most as many as
// there are stages and sequences (scheduler/pipeline_costs.h).
PassesTime DecodeTime(const LatencyInputs& inputs) {
  const int64_t most = std::min(inputs.workload.batch, inputs.layout.degrees.pipeline);
  PassesTime best = RoundTime(inputs, 1);
  for (int64_t parts = 2; parts <= most; ++parts) {
    const PassesTime round = RoundTime(inputs, parts);
    if (round.seconds < best.seconds) best = round;
  }
  return best;
}

}  // namespace

Latency LatencyOf(const LatencyInputs& inputs) {
  return {.prompt = PromptTime(inputs), .decode = DecodeTime(inputs)};
}

}  // namespace dray::plan
