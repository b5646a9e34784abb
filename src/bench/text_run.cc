#include "bench/text_run.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <future>
#include <random>
#include <utility>

#include "bench/machine_limits.h"

namespace dray::bench {
namespace {

constexpr double kShortestMixed = 8;
// Single runs of short texts take a few milliseconds.
constexpr double kLeastSeconds = 0.5;
constexpr uint64_t kShuffleSeed = 7;

}  // namespace

std::vector<int64_t> MixedLengths(int64_t texts, int64_t longest) {
  const double shortest = std::min(kShortestMixed, static_cast<double>(longest));
  const double ratio = static_cast<double>(longest) / shortest;
  const auto steps = static_cast<double>(std::max<int64_t>(texts - 1, 1));
  std::vector<int64_t> lengths;
  for (int64_t i = 0; i < texts; ++i) {
    lengths.push_back(std::lround(shortest * std::pow(ratio, static_cast<double>(i) / steps)));
  }
  std::shuffle(lengths.begin(), lengths.end(), std::mt19937_64(kShuffleSeed));
  return lengths;
}

Result<TimedEncoder> TimedEncoder::Make(engine::LoadedModel& model,
                                        const engine::EncoderOptions& options,
                                        std::vector<int64_t> lengths) {
  const model::StackConfig& stack = model.description.config.stack;
  const int64_t longest = *std::max_element(lengths.begin(), lengths.end());
  if (longest > stack.max_positions) {
    return Status(StatusCode::kInvalidArgument,
                  fmt::format("texts of {} tokens, but this model's positions end at {}: choose "
                              "shorter ones by --input",
                              longest, stack.max_positions));
  }
  const model::EncoderLimits limits = engine::EncoderEngine::PassLimits(model, longest, options);
  DRAY_ASSIGN_OR_RETURN(auto ranks, engine::EncoderRanks::Make(model, limits));
  return TimedEncoder(model, std::move(ranks), limits, std::move(lengths));
}

Result<std::vector<double>> TimedEncoder::Run(uint64_t seed, const StopCheck& stop) {
  FillPasses(seed);
  // The caller's thread stays free to use all processors, since it makes the threads of later models.
  const auto run = [&] {
    model_->ranks.front().backend->AdoptThread();
    return RunFor(stop);
  };
  return std::async(std::launch::async, run).get();
}

void TimedEncoder::FillPasses(uint64_t seed) {
  const model::ModelConfig& config = model_->description.config;
  std::mt19937_64 random(seed);
  passes_.clear();
  size_t most_tokens = 0;
  for (const int64_t length : lengths_) {
    const auto fits = [&](const model::EncoderBatch& pass) {
      return static_cast<int64_t>(pass.ids.size()) + length <= limits_.max_batch_tokens &&
             static_cast<int64_t>(pass.lengths.size()) < limits_.max_texts;
    };
    if (passes_.empty() || !fits(passes_.back())) passes_.emplace_back();
    model::EncoderBatch& pass = passes_.back();
    for (int64_t i = 0; i < length; ++i) {
      const uint64_t id = random() % static_cast<uint64_t>(config.vocab_size);
      pass.ids.push_back(static_cast<int32_t>(id));
      pass.types.push_back(0);
    }
    pass.lengths.push_back(static_cast<int32_t>(length));
    most_tokens = std::max(most_tokens, pass.ids.size());
  }
  states_.resize(most_tokens * static_cast<size_t>(config.stack.hidden));
}

Status TimedEncoder::RunOnce() {
  const auto hidden = static_cast<size_t>(model_->description.config.stack.hidden);
  for (const model::EncoderBatch& pass : passes_) {
    kernels::StepTurn turn(*model_->ranks.front().backend, static_cast<int64_t>(pass.ids.size()));
    DRAY_RETURN_IF_ERROR(ranks_->Forward(pass));
    DRAY_RETURN_IF_ERROR(
        ranks_->first().States(std::span(states_).first(pass.ids.size() * hidden)));
    DRAY_RETURN_IF_ERROR(turn.Finish());
  }
  return OkStatus();
}

Result<std::vector<double>> TimedEncoder::RunFor(const StopCheck& stop) {
  std::vector<double> times;
  const Stopwatch all;
  while (times.empty() || all.Seconds() < kLeastSeconds) {
    const Stopwatch watch;
    DRAY_RETURN_IF_ERROR(RunOnce());
    times.push_back(watch.Seconds());
    if (stop && stop()) return Status(StatusCode::kCancelled, "interrupted");
  }
  return times;
}

}  // namespace dray::bench
