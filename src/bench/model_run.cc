#include "bench/model_run.h"

#include <fmt/format.h>

#include <algorithm>
#include <future>
#include <random>
#include <utility>

#include "bench/machine_limits.h"
#include "engine/runner/cache_size.h"
#include "model/forward/kv_cache.h"

namespace dray::bench {
namespace {

// Notes when each token of one request came. The engine's steps run on one thread.
class TokenClock : public engine::EventSink {
 public:
  explicit TokenClock(const Stopwatch& watch) : watch_(watch) {}
  void OnEvent(engine::Event event) override {
    if (std::holds_alternative<engine::TokenEvent>(event)) times_.push_back(watch_.Seconds());
    if (const auto* end = std::get_if<engine::RequestEndEvent>(&event)) status_ = end->status;
  }
  const std::vector<double>& times() const { return times_; }
  const Status& status() const { return status_; }

 private:
  const Stopwatch& watch_;
  std::vector<double> times_;
  Status status_;
};

using Clocks = std::vector<std::shared_ptr<TokenClock>>;

engine::GenerateRequest RandomRequest(const RunShape& shape, int64_t vocab_size,
                                      std::mt19937_64& random) {
  engine::GenerateRequest request;
  request.prompt.reserve(static_cast<size_t>(shape.prompt_tokens));
  for (int64_t i = 0; i < shape.prompt_tokens; ++i) {
    request.prompt.push_back(static_cast<int32_t>(random() % static_cast<uint64_t>(vocab_size)));
  }
  request.params.max_new_tokens = shape.new_tokens;
  request.params.ignore_eos = true;
  request.params.num_beams = shape.num_beams;
  return request;
}

size_t CountTokens(const Clocks& clocks) {
  size_t count = 0;
  for (const auto& clock : clocks) count += clock->times().size();
  return count;
}

bool AllBegun(const Clocks& clocks) {
  return std::all_of(clocks.begin(), clocks.end(),
                     [](const auto& clock) { return !clock->times().empty(); });
}

Result<RunTimes> Collect(const Clocks& clocks, RunTimes times) {
  for (const auto& clock : clocks) {
    DRAY_RETURN_IF_ERROR(clock->status());
    const std::vector<double>& tokens = clock->times();
    if (times.token_times.size() < tokens.size()) times.token_times.resize(tokens.size());
    for (size_t i = 0; i < tokens.size(); ++i) {
      times.token_times[i] = std::max(times.token_times[i], tokens[i]);
    }
    times.sequence_times.push_back(tokens.back());
  }
  times.prompt_seconds = times.token_times.front();
  times.total_seconds = times.token_times.back();
  return times;
}

}  // namespace

Result<TimedEngine> TimedEngine::Make(engine::LoadedModel& model,
                                      const engine::EngineOptions& options, const RunShape& shape) {
  const model::ModelConfig& config = model.description.config;
  // Before the answer of an encoder-decoder stands a token of its own.
  const int64_t context = shape.prompt_tokens + shape.new_tokens + (config.encoder ? 1 : 0);
  const int64_t most = config.stack.max_positions;
  if (context > most) {
    return Status(StatusCode::kInvalidArgument,
                  fmt::format("{} tokens in and {} out are {}, but this model's positions end at "
                              "{}: choose smaller ones by --input and --output",
                              shape.prompt_tokens, shape.new_tokens, context, most));
  }
  engine::EngineOptions fitting = options;
  fitting.max_sequences = shape.sequences * shape.num_beams;
  fitting.max_context_tokens = context;
  DRAY_ASSIGN_OR_RETURN(auto core, engine::EngineCore::Make(model, fitting));
  DRAY_ASSIGN_OR_RETURN(const auto size, engine::ChooseCacheSize(model, fitting));
  const auto block_bytes = model.BlockBytes(size.spec);
  return TimedEngine(std::move(core), model.ranks.front().backend, shape,
                     static_cast<double>(block_bytes) / static_cast<double>(size.spec.block_size));
}

Result<RunTimes> TimedEngine::Run(uint64_t seed, const StopCheck& stop) {
  // The caller's thread stays free to use all processors, since it makes the threads of later models.
  const auto run = [&] {
    backend_->AdoptThread();
    return RunSteps(seed, stop);
  };
  return std::async(std::launch::async, run).get();
}

Result<RunTimes> TimedEngine::RunSteps(uint64_t seed, const StopCheck& stop) {
  std::mt19937_64 random(seed);
  std::vector<engine::GenerateRequest> requests;
  for (int64_t i = 0; i < shape_.sequences; ++i) {
    requests.push_back(RandomRequest(shape_, core_->limits().vocab_size, random));
    DRAY_RETURN_IF_ERROR(core_->Validate(requests.back()));
  }
  const Stopwatch watch;
  Clocks clocks;
  for (engine::GenerateRequest& request : requests) {
    clocks.push_back(std::make_shared<TokenClock>(watch));
    core_->Add(RequestId(next_id_++), std::move(request), clocks.back());
  }
  RunTimes times;
  while (true) {
    const bool all_begun = AllBegun(clocks);
    const size_t tokens = CountTokens(clocks);
    const double start = watch.Seconds();
    if (!core_->Step()) break;
    if (all_begun && CountTokens(clocks) - tokens == clocks.size()) {
      times.decode_steps.push_back(watch.Seconds() - start);
    }
    if (stop && stop()) {
      const Status cancelled(StatusCode::kCancelled, "interrupted");
      core_->EndAll(cancelled);
      return cancelled;
    }
  }
  return Collect(clocks, std::move(times));
}

}  // namespace dray::bench
