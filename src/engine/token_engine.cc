// Threads: owns one, and only that thread changes the EngineCore. Submit, Cancel and the getters
// may be called from any thread: they write to the inbox, and read what the engine's thread
// published there last. While a failed runner is replaced, which happens on the thread of a
// RestartThread, the engine's thread goes on to empty the inbox.
#include "engine/token_engine.h"

#include <fmt/format.h>

#include <atomic>
#include <exception>
#include <thread>
#include <utility>

#include "base/log.h"
#include "engine/engine_core.h"
#include "engine/engine_inbox.h"
#include "engine/recovery/restart_thread.h"

namespace dray::engine {
namespace {

class TokenEngine final : public Engine {
 public:
  TokenEngine(Backends backends, std::shared_ptr<LoadedModel> model,
              std::shared_ptr<LoadedModel> draft, std::unique_ptr<EngineCore> core)
      : backends_(std::move(backends)),
        model_(std::move(model)),
        draft_(std::move(draft)),
        core_(std::move(core)) {
    inbox_.Publish(core_->stats(), core_->health());
    core_->WatchRunner([this] {
      runner_failed_ = true;
      inbox_.Wake();
    });
    thread_ = std::thread([this] { Loop(); });
  }

  ~TokenEngine() override {
    inbox_.Stop();
    thread_.join();
    restarts_.Stop();
    core_.reset();  // whose runner calls back
  }

  Result<RequestId> Submit(GenerateRequest request, std::shared_ptr<EventSink> sink) override {
    return inbox_.Submit(std::move(request), std::move(sink));
  }
  void Cancel(RequestId id) override { inbox_.Cancel(id); }
  EngineLimits limits() const override { return core_->limits(); }

  EngineStats stats() const override { return inbox_.stats(); }
  bool healthy() const override { return inbox_.healthy(); }

 private:
  void Loop() {
    backends_.front()->AdoptThread();
    while (TakeInbox()) {
      try {
        core_->Step();
      } catch (const std::exception& error) {
        // Only the allocator throws in a step. All requests end, and the engine goes on.
        LogError(fmt::format("engine step failed: {}", error.what()));
        core_->Abandon({StatusCode::kInternal, fmt::format("the step failed: {}", error.what())});
      }
      if (auto restart = core_->TakeRestart()) restarts_.Start(std::move(*restart));
    }
    core_->EndAll({StatusCode::kCancelled, "the server is shutting down"});
  }

  // Moves what has arrived into the core; sleeps while there is nothing to do. Returns false when
  // the thread must end.
  bool TakeInbox() {
    using TimePoint = EngineInbox::TimePoint;
    inbox_.Publish(core_->stats(), core_->health());
    inbox_.Take(taken_, core_->idle() ? TimePoint::max() : TimePoint::min(),
                [this] { return runner_failed_ || restarts_.done(); });
    if (runner_failed_.exchange(false)) core_->CheckRunner();
    for (Submission& taken : taken_.submissions) {
      core_->Add(taken.id, std::move(taken.request), std::move(taken.sink));
    }
    for (const RequestId id : taken_.cancellations) {
      core_->End(id, {StatusCode::kCancelled, "the request was cancelled"});
    }
    if (restarts_.done()) core_->FinishRestart(restarts_.Take());
    return !taken_.stopping;
  }

  Backends backends_;  // that the core's runner computes on; the first one on this thread
  std::shared_ptr<LoadedModel> model_;
  std::shared_ptr<LoadedModel> draft_;  // may be null
  std::unique_ptr<EngineCore> core_;

  EngineInbox inbox_;
  EngineInbox::Contents taken_;  // used by the engine's thread only
  std::atomic<bool> runner_failed_ = false;
  RestartThread restarts_{[this] { inbox_.Wake(); }};
  std::thread thread_;
};

}  // namespace

Result<std::unique_ptr<Engine>> StartEngine(std::shared_ptr<LoadedModel> model,
                                            const EngineOptions& options,
                                            std::shared_ptr<LoadedModel> draft,
                                            const RunnerMaker& make_runner) {
  DRAY_ASSIGN_OR_RETURN(auto drafter, MakeDrafter(*model, draft.get(), options.speculation));
  DRAY_ASSIGN_OR_RETURN(auto core,
                        EngineCore::Make(*model, options, std::move(drafter), make_runner));
  Backends backends = model->backends();
  return std::unique_ptr<Engine>(std::make_unique<TokenEngine>(
      std::move(backends), std::move(model), std::move(draft), std::move(core)));
}

Result<std::unique_ptr<Engine>> StartEngineOn(EngineHome home, std::shared_ptr<LoadedModel> model,
                                              const EngineOptions& options,
                                              std::shared_ptr<LoadedModel> draft) {
  DRAY_ASSIGN_OR_RETURN(auto drafter, MakeDrafter(*model, draft.get(), options.speculation,
                                                  MakeRunnerOn(std::move(home.of_draft))));
  const RunnerMaker make_runner = home.launcher != nullptr ? MakeRunnerBy(std::move(home.launcher))
                                                           : MakeRunnerOn(home.backends);
  DRAY_ASSIGN_OR_RETURN(auto core,
                        EngineCore::Make(*model, options, std::move(drafter), make_runner));
  return std::unique_ptr<Engine>(std::make_unique<TokenEngine>(
      std::move(home.backends), std::move(model), std::move(draft), std::move(core)));
}

}  // namespace dray::engine
