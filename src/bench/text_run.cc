#include "bench/text_run.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <future>
#include <random>
#include <utility>

#include "bench/machine_limits.h"
#include "engine/runner/make_runner.h"

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
  DRAY_RETURN_IF_ERROR(CheckKind(model.description.config, model::ModelKind::kEncoder));
  const model::StackConfig& stack = model.description.config.stack;
  const int64_t longest = *std::max_element(lengths.begin(), lengths.end());
  if (longest > stack.max_positions) {
    return Status(StatusCode::kInvalidArgument,
                  fmt::format("texts of {} tokens, but this model's positions end at {}: choose "
                              "shorter ones by --input",
                              longest, stack.max_positions));
  }
  const model::EncoderLimits limits = engine::EncoderEngine::PassLimits(model, longest, options);
  DRAY_ASSIGN_OR_RETURN(auto runner, engine::MakeRunner(model, engine::EncoderSpec(limits)));
  return TimedEncoder(model, std::move(runner), limits, std::move(lengths));
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
  for (const int64_t length : lengths_) {
    const auto fits = [&](const model::EncoderBatch& texts) {
      return static_cast<int64_t>(texts.ids.size()) + length <= limits_.max_batch_tokens &&
             static_cast<int64_t>(texts.lengths.size()) < limits_.max_texts;
    };
    if (passes_.empty() || !fits(passes_.back().sources.texts)) passes_.emplace_back();
    model::EncoderBatch& texts = passes_.back().sources.texts;
    for (int64_t i = 0; i < length; ++i) {
      const uint64_t id = random() % static_cast<uint64_t>(config.vocab_size);
      texts.ids.push_back(static_cast<int32_t>(id));
      if (config.stack.num_token_types > 0) texts.types.push_back(0);
    }
    texts.lengths.push_back(static_cast<int32_t>(length));
  }
  for (engine::RunnerStep& pass : passes_) engine::WantNumbers({.states = true}, pass);
}

Status TimedEncoder::RunOnce() {
  const size_t at_once = runner_->max_steps_in_flight();
  for (size_t i = 0; i < std::min(at_once, passes_.size()); ++i) runner_->Submit(passes_[i]);
  for (size_t i = 0; i < passes_.size(); ++i) {
    const engine::StepPiece end =
        engine::CollectNumbers(*runner_, passes_[i], model_->description.config, numbers_);
    DRAY_RETURN_IF_ERROR(end.status);
    if (i + at_once < passes_.size()) runner_->Submit(passes_[i + at_once]);
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
