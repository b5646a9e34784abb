// The engine without threads: it takes requests, runs steps, and sends events to the requests'
// sinks. TokenEngine (token_engine.h) drives it from a thread of its own; tests drive it directly.
//
// It keeps the requests and calls the parts of a step in their order: scheduler/ plans the step,
// speculation/ adds guesses, step/ makes the batch, a ModelRunner (runner/model_runner.h) computes
// it, and step/ turns the logits into tokens. If the runner fails, recovery/ has another one made, and
// the requests are computed anew from their prompts and the tokens that were sent.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <span>
#include <utility>
#include <vector>

#include "base/ids.h"
#include "base/status.h"
#include "engine/engine.h"
#include "engine/engine_options.h"
#include "engine/recovery/runner_keeper.h"
#include "engine/recovery/suspects.h"
#include "engine/request_table.h"
#include "engine/runner/make_runner.h"
#include "engine/runner/model_runner.h"
#include "engine/speculation/drafter.h"
#include "engine/speculation/speculator.h"
#include "engine/step/step_in_flight.h"
#include "engine/step/token_selector.h"
#include "engine/validate.h"
#include "scheduler/scheduler.h"

namespace dray::engine {

class EngineCore {
 public:
  // `model` must outlive the core. `drafter` guesses tokens; null: no speculation. kInvalidArgument
  // or kResourceExhausted, naming the option, if the cache cannot hold one sequence of
  // max_context_tokens.
  static Result<std::unique_ptr<EngineCore>> Make(LoadedModel& model, const EngineOptions& options,
                                                  std::unique_ptr<Drafter> drafter = nullptr,
                                                  const RunnerMaker& make_runner = MakeRunner);
  EngineCore(const EngineCore&) = delete;  // its parts refer to each other
  EngineCore& operator=(const EngineCore&) = delete;

  // Refuses a request that this engine cannot serve (validate.h). Thread-safe.
  Status Validate(const GenerateRequest& request) const {
    return engine::Validate(request, limits_);
  }
  // Takes a validated request. From now on it will get a RequestEndEvent.
  void Add(RequestId id, GenerateRequest generate, std::shared_ptr<EventSink> sink);
  // Ends the request with `status`, unless it has ended already.
  void End(RequestId id, const Status& status);
  void EndAll(const Status& status);
  // Submits steps until the runner takes no more or nothing is left to plan; then collects the
  // results of the oldest step in flight. False if there was nothing to do, or if there is no runner.
  bool Step();
  // Call this after an exception in Step. Forgets the steps in flight and ends all requests with
  // `status`.
  void Abandon(const Status& status);

  // Has `notify` called, on any thread, when the runner fails between steps; the caller then calls
  // CheckRunner.
  void WatchRunner(std::function<void()> notify) { keeper_.Watch(std::move(notify)); }
  // Finds out whether the runner has failed while no step was in flight, and begins a restart then.
  void CheckRunner();
  // Returns the job of replacing a failed runner, if there is one that was not returned before. The
  // caller runs it, on any thread, and gives its result to FinishRestart; until then Step does
  // nothing. All other functions may be called meanwhile. The job must have ended before the core
  // does.
  std::optional<RunnerRestart> TakeRestart() { return keeper_.TakeRestart(); }
  // If there is no runner again, another restart begins, or all requests end.
  void FinishRestart(Result<std::unique_ptr<ModelRunner>> made);

  // Whether Step has nothing to do.
  bool idle() const { return (requests_.empty() && num_in_flight_ == 0) || restarting(); }
  // Whether the runner is being replaced.
  bool restarting() const { return keeper_.restarting(); }
  // Not ok once the runner has failed for good. Every request then ends with this status.
  const Status& health() const { return keeper_.health(); }
  EngineLimits limits() const { return limits_; }
  EngineStats stats() const;
  // Verifies the accounting of the cache's blocks; for tests.
  Status CheckIntegrity() const { return scheduler_.CheckIntegrity(); }

 private:
  EngineCore(const LoadedModel& model, const EngineLimits& limits, scheduler::Scheduler scheduler,
             std::unique_ptr<Drafter> drafter, const EngineOptions& options,
             const RunnerSpec& spec);

  SequenceId AddSequence(Request& request, int sequence_idx, const std::vector<int32_t>& prompt);
  // Plans a step and submits it. False if there is nothing to plan.
  bool SubmitStep();
  // Tells the sinks of requests whose first step the plan is.
  void TellStarts(const scheduler::Plan& plan);
  void CollectStep();
  void FinishStep(const StepInFlight& step, const StepSeconds& seconds);
  void FailStep(const StepInFlight& step, const Status& status);
  // The runner has failed in the step that is being collected.
  void FailRunner(const Status& status);
  // Has the runner replaced, or ends all requests.
  void LoseRunner(const Status& status);
  // `results` are what the oldest step in flight has given before it was lost, if anything.
  void ForgetStepsInFlight(std::span<const scheduler::SequenceResult> results);
  void UpdateScheduler();
  // Continues or ends the requests whose groups have all their rows.
  void AdvanceGroups();
  void EndSequences(std::span<const SequenceId> ended);
  // Has the scheduler plan by what steps cost in this pipeline.
  Status MeasureCosts();
  // Has memory for as many steps as the runner takes.
  void MakeSteps();

  const LoadedModel& model_;
  EngineLimits limits_;
  int64_t block_size_;
  RunnerSpec spec_;
  RequestTable requests_;
  scheduler::Scheduler scheduler_;
  Speculator speculator_;
  TokenSelector selector_;
  Suspects suspects_;
  // [0, num_in_flight_) are in flight, the oldest first; the others are memory for later steps.
  std::vector<std::unique_ptr<StepInFlight>> steps_;
  RunnerKeeper keeper_;  // its runner reads steps_ until the runner is destroyed
  size_t num_in_flight_ = 0;
  EngineStats counters_;
};

}  // namespace dray::engine
