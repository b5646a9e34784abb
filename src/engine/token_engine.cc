// Threads: owns one, and only that thread changes the EngineCore. Submit, Cancel and the getters
// may be called from any thread: they validate, write to the inbox, and read what the engine's
// thread published last. While a failed runner is replaced, which happens on the thread of a
// RestartThread, the engine's thread goes on to empty the inbox.
#include "engine/token_engine.h"

#include <fmt/format.h>

#include <condition_variable>
#include <exception>
#include <mutex>
#include <thread>
#include <utility>
#include <vector>

#include "base/log.h"
#include "engine/engine_core.h"
#include "engine/recovery/restart_thread.h"

namespace dray::engine {
namespace {

struct Submission {
  RequestId id;
  GenerateRequest request;
  std::shared_ptr<EventSink> sink;
};

class TokenEngine final : public Engine {
 public:
  TokenEngine(Backends backends, std::shared_ptr<LoadedModel> model,
              std::shared_ptr<LoadedModel> draft, std::unique_ptr<EngineCore> core)
      : backends_(std::move(backends)),
        model_(std::move(model)),
        draft_(std::move(draft)),
        core_(std::move(core)),
        published_(core_->stats()) {
    core_->WatchRunner([this] {
      {
        const std::lock_guard lock(mutex_);
        runner_failed_ = true;
      }
      wake_.notify_one();
    });
    thread_ = std::thread([this] { Loop(); });
  }

  ~TokenEngine() override {
    {
      const std::lock_guard lock(mutex_);
      stopping_ = true;
    }
    wake_.notify_one();
    thread_.join();
    restarts_.Stop();
    core_.reset();  // whose runner calls back
  }

  Result<RequestId> Submit(GenerateRequest request, std::shared_ptr<EventSink> sink) override {
    const std::lock_guard lock(mutex_);
    if (stopping_) return Status(StatusCode::kUnavailable, "the server is shutting down");
    if (!health_.ok()) return health_;
    const RequestId id(next_request_id_++);
    submissions_.push_back({id, std::move(request), std::move(sink)});
    wake_.notify_one();
    return id;
  }

  void Cancel(RequestId id) override {
    {
      const std::lock_guard lock(mutex_);
      cancellations_.push_back(id);
    }
    wake_.notify_one();
  }

  EngineLimits limits() const override { return core_->limits(); }

  EngineStats stats() const override {
    const std::lock_guard lock(mutex_);
    return published_;
  }

  bool healthy() const override {
    const std::lock_guard lock(mutex_);
    return health_.ok();
  }

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
    bool stopping = false;
    bool failed = false;
    {
      std::unique_lock lock(mutex_);
      published_ = core_->stats();
      health_ = core_->health();
      const auto something = [&] {
        return stopping_ || !submissions_.empty() || !cancellations_.empty() || runner_failed_ ||
               restarts_.done();
      };
      if (core_->idle()) wake_.wait(lock, something);
      std::swap(submissions_, taken_submissions_);
      std::swap(cancellations_, taken_cancellations_);
      stopping = stopping_;
      failed = std::exchange(runner_failed_, false);
    }
    if (failed) core_->CheckRunner();
    for (Submission& taken : taken_submissions_) {
      core_->Add(taken.id, std::move(taken.request), std::move(taken.sink));
    }
    for (const RequestId id : taken_cancellations_) {
      core_->End(id, {StatusCode::kCancelled, "the request was cancelled"});
    }
    taken_submissions_.clear();
    taken_cancellations_.clear();
    if (restarts_.done()) core_->FinishRestart(restarts_.Take());
    return !stopping;
  }

  // Called by the thread of a restart that has its result.
  void WakeUp() {
    // The engine's thread holds the mutex from its look at the result until it sleeps.
    { const std::lock_guard lock(mutex_); }
    wake_.notify_one();
  }

  Backends backends_;  // that the core's runner computes on; the first one on this thread
  std::shared_ptr<LoadedModel> model_;
  std::shared_ptr<LoadedModel> draft_;  // may be null
  std::unique_ptr<EngineCore> core_;

  mutable std::mutex mutex_;
  std::condition_variable wake_;
  // Guarded by mutex_.
  std::vector<Submission> submissions_;
  std::vector<RequestId> cancellations_;
  EngineStats published_;
  Status health_;  // of the core, published likewise
  uint64_t next_request_id_ = 1;
  bool stopping_ = false;
  bool runner_failed_ = false;

  // Used by the engine's thread only.
  std::vector<Submission> taken_submissions_;
  std::vector<RequestId> taken_cancellations_;
  RestartThread restarts_{[this] { WakeUp(); }};
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

Result<std::unique_ptr<Engine>> StartEngineOn(Backends backends, std::shared_ptr<LoadedModel> model,
                                              const EngineOptions& options,
                                              std::shared_ptr<LoadedModel> draft) {
  Backends of_draft = backends;
  if (draft != nullptr) of_draft.resize(static_cast<size_t>(draft->num_ranks()));
  DRAY_ASSIGN_OR_RETURN(auto drafter, MakeDrafter(*model, draft.get(), options.speculation,
                                                  MakeRunnerOn(std::move(of_draft))));
  DRAY_ASSIGN_OR_RETURN(
      auto core, EngineCore::Make(*model, options, std::move(drafter), MakeRunnerOn(backends)));
  return std::unique_ptr<Engine>(std::make_unique<TokenEngine>(
      std::move(backends), std::move(model), std::move(draft), std::move(core)));
}

}  // namespace dray::engine
