#include "plan/cost/latency.h"

#include <algorithm>
#include <map>

#include "base/checked_math.h"
#include "plan/cost/traffic.h"

namespace dray::plan {
namespace {

bench::LimitsSample Scaled(const bench::LimitsSample& limits, double share) {
  return {.read_bandwidth = share * limits.read_bandwidth,
          .f32 = share * limits.f32,
          .bf16 = share * limits.bf16,
          .int8 = share * limits.int8,
          .int4 = share * limits.int4,
          .f16 = share * limits.f16};
}

// The time of one pass in one stage.
struct StageTime {
  double seconds = 0;
  double link_seconds = 0;
  double floor_seconds = 0;
  bench::Bound bound = bench::Bound::kMemory;
};

StageTime TimeOf(const LatencyInputs& inputs, int64_t stage, const Pass& pass) {
  const size_t place = inputs.layout.stage_hosts[static_cast<size_t>(stage)];
  const Host& host = inputs.machines.hosts[place];
  const double share = ShareOfHost(inputs.layout, inputs.machines, place);
  const bench::LimitsSample sustained = Scaled(host.device.sustained, share);
  const bench::LimitsSample peak = Scaled(host.device.peak, share);
  StageTime time;
  for (const RankShare& rank : inputs.shares[static_cast<size_t>(stage)]) {
    const bench::PassCost cost = CostOf(rank, pass, inputs.formats, PackingOf(host));
    const bench::Floor expected = FloorOf(cost, sustained);
    if (expected.seconds > time.seconds) {
      time.seconds = expected.seconds;
      time.bound = expected.bound;
    }
    time.floor_seconds = std::max(time.floor_seconds, FloorOf(cost, peak).seconds);
  }
  time.link_seconds = LinkSeconds(inputs.facts, inputs.layout, inputs.machines, stage, pass);
  time.seconds += time.link_seconds;
  return time;
}

std::vector<StageTime> TimesOf(const LatencyInputs& inputs, const Pass& pass) {
  std::vector<StageTime> times;
  for (int64_t stage = 0; stage < inputs.layout.degrees.pipeline; ++stage) {
    times.push_back(TimeOf(inputs, stage, pass));
  }
  return times;
}

// When each stage, and the last pass of each group of sequences, is done.
class Timeline {
 public:
  explicit Timeline(int64_t stages) : stages_(static_cast<size_t>(stages), 0.0) {}

  void Add(int64_t sequences_id, const std::vector<double>& seconds) {
    double done = sequences_[sequences_id];
    for (size_t stage = 0; stage < stages_.size(); ++stage) {
      done = std::max(done, stages_[stage]) + seconds[stage];
      stages_[stage] = done;
    }
    sequences_[sequences_id] = done;
  }
  double end() const { return stages_.back(); }

 private:
  std::vector<double> stages_;
  std::map<int64_t, double> sequences_;
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

PassesTime PromptTime(const LatencyInputs& inputs) {
  const int64_t stages = inputs.layout.degrees.pipeline;
  Timeline expected(stages), floor(stages), links(stages);
  PassesTime total;
  for (const Pass& pass : PromptPasses(inputs.facts, inputs.workload)) {
    const std::vector<StageTime> times = TimesOf(inputs, pass);
    expected.Add(pass.sequences_id, Seconds(times, &StageTime::seconds));
    floor.Add(pass.sequences_id, Seconds(times, &StageTime::floor_seconds));
    links.Add(pass.sequences_id, Seconds(times, &StageTime::link_seconds));
    total.bound = Slowest(times).bound;
  }
  total.seconds = expected.end();
  total.floor_seconds = floor.end();
  total.link_seconds = links.end();
  return total;
}

// A batch is divided into as many micro-batches as there are stages, if it has so many sequences. A
// sequence's next token takes the way through all stages, or as long as the slowest stage needs for
// all micro-batches.
PassesTime DecodeTime(const LatencyInputs& inputs) {
  const int64_t parts = std::min(inputs.workload.batch, inputs.layout.degrees.pipeline);
  const int64_t sequences = DivideRoundUp(inputs.workload.batch, parts);
  const std::vector<StageTime> times =
      TimesOf(inputs, DecodePass(inputs.facts, inputs.workload, sequences));
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

}  // namespace

Packing PackingOf(const Host& host) {
  return host.sharing == Sharing::kOneDevice ? Packing::kPanels : Packing::kPlain;
}

Latency LatencyOf(const LatencyInputs& inputs) {
  return {.prompt = PromptTime(inputs), .decode = DecodeTime(inputs)};
}

}  // namespace dray::plan
