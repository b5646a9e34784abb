#include "serving/workers/worker_pool.h"

#include <gtest/gtest.h>

#include <condition_variable>
#include <string>
#include <thread>
#include <vector>

#include "serving/served_model.h"
#include "serving/testing/fakes.h"

namespace dray::serving {
namespace {

using std::chrono::milliseconds;
using std::chrono::seconds;

// Remembers the order in which requests end, and how.
class Ends {
 public:
  void Add(const std::string& name, const Status& status) {
    const std::lock_guard lock(mutex_);
    names_ += name;
    if (!status.ok()) errors_.push_back(status.message());
    changed_.notify_all();
  }
  std::string WaitFor(size_t count) {
    std::unique_lock lock(mutex_);
    changed_.wait(lock, [&] { return names_.size() >= count; });
    return names_;
  }
  std::vector<std::string> errors() {
    const std::lock_guard lock(mutex_);
    return errors_;
  }

 private:
  std::mutex mutex_;
  std::condition_variable changed_;
  std::string names_;
  std::vector<std::string> errors_;
};

class NamedSink final : public TextSink {
 public:
  NamedSink(Ends& ends, std::string name) : ends_(ends), name_(std::move(name)) {}
  void OnEvent(TextEvent event) override {
    if (const auto* end = std::get_if<EndEvent>(&event)) ends_.Add(name_, end->status());
  }

 private:
  Ends& ends_;
  const std::string name_;
};

// A model whose workers are engines without a model.
class WorkerPoolTest : public testing::Test {
 protected:
  void Open(PoolOptions pool, FakeEngine::Options engine = {}) {
    engine_options_ = std::move(engine);
    ModelOptions options;
    options.pool = pool;
    options.job_queue_size = 100;
    std::vector<WorkerParts> workers;
    for (int64_t i = 0; i < pool.min_workers; ++i) workers.push_back(MakeWorker());
    model_ = std::make_unique<ServedModel>(
        options, std::move(workers),
        [this](int64_t, const std::stop_token& stop) -> Result<WorkerParts> {
          if (!refuse_.empty()) return Status(refusal_, refuse_);
          ++num_asked_;
          WaitUntil([&] { return !hold_ || stop.stop_requested(); });
          if (hold_) return Status(StatusCode::kCancelled, "it was stopped");
          return MakeWorker();
        },
        std::make_unique<ByteCodec>());
  }
  WorkerParts MakeWorker() {
    auto engine = std::make_unique<FakeEngine>(engine_options_);
    if (pause_) engine->Pause();
    const std::lock_guard lock(mutex_);
    engines_.push_back(engine.get());
    return {.engine = std::move(engine)};
  }
  // A one-letter name is also the prompt, so an answer takes two steps.
  std::shared_ptr<Generation> Ask(const std::string& name, int64_t priority = kDefaultPriority) {
    TextRequest request;
    request.text = name;
    request.priority = priority;
    auto generation = model_->Submit(request, std::make_shared<NamedSink>(ends_, name));
    EXPECT_TRUE(generation.ok()) << generation.status().message();
    return generation.ok() ? *generation : nullptr;
  }
  FakeEngine& Engine(size_t i) {
    const std::lock_guard lock(mutex_);
    return *engines_.at(i);
  }
  size_t NumMade() {
    const std::lock_guard lock(mutex_);
    return engines_.size();
  }
  template <typename Condition>
  static void WaitUntil(Condition condition) {
    while (!condition()) std::this_thread::sleep_for(milliseconds(1));
  }
  size_t NumWorkers() { return model_->workers().workers.size(); }

  Ends ends_;
  std::mutex mutex_;
  std::vector<FakeEngine*> engines_;
  FakeEngine::Options engine_options_;
  std::atomic<bool> pause_{false};
  std::atomic<bool> hold_{false};  // workers that are made do not come
  std::atomic<int> num_asked_{0};
  std::string refuse_;
  StatusCode refusal_ = StatusCode::kResourceExhausted;
  std::unique_ptr<ServedModel> model_;
};

TEST_F(WorkerPoolTest, RequestsGoToTheWorkerWithMostRoom) {
  pause_ = true;
  Open({.min_workers = 2, .max_workers = 2, .max_running = 2});
  for (const char* name : {"a", "b", "c", "d", "e"}) Ask(name);
  EXPECT_EQ(Engine(0).num_live(), 2);
  EXPECT_EQ(Engine(1).num_live(), 2);
  EXPECT_EQ(model_->workers().num_queued, 1);
  Engine(1).Resume();
  // The worker that has room takes what waits.
  ends_.WaitFor(3);
  EXPECT_EQ(Engine(0).num_submitted(), 2);
  EXPECT_EQ(Engine(1).num_submitted(), 3);
  Engine(0).Resume();
  ends_.WaitFor(5);
  EXPECT_EQ(model_->workers().num_queued, 0);
  EXPECT_TRUE(ends_.errors().empty());
}

TEST_F(WorkerPoolTest, TheLowestPriorityNumberGoesFirst) {
  pause_ = true;
  Open({.max_running = 1});
  Ask("a");
  Ask("b", 9);
  Ask("c");
  Ask("d", 1);
  Ask("e");
  Engine(0).Resume();
  EXPECT_EQ(ends_.WaitFor(5), "adceb");
}

TEST_F(WorkerPoolTest, ARequestThatWaitsMayBeCancelled) {
  pause_ = true;
  Open({.max_running = 1});
  Ask("a");
  Ask("b")->Cancel(Status(StatusCode::kCancelled, "the client has gone"));
  EXPECT_EQ(ends_.WaitFor(1), "b");
  EXPECT_EQ(ends_.errors(), std::vector<std::string>{"the client has gone"});
  EXPECT_EQ(model_->workers().num_queued, 0);
  EXPECT_EQ(model_->num_in_flight(), 1);
  Engine(0).Resume();
  EXPECT_EQ(ends_.WaitFor(2), "ba");
}

TEST_F(WorkerPoolTest, TemporaryWorkersComeWithTheQueueAndGoWhenIdle) {
  pause_ = true;
  Open({.min_workers = 1, .max_workers = 3, .max_running = 1, .max_idle_time = seconds(0)});
  Ask("a");
  // A queue of up to twice the batch is no reason for another worker.
  Ask("b");
  Ask("c");
  EXPECT_EQ(NumMade(), 1U);
  for (const char* name : {"d", "e", "f", "g", "h"}) Ask(name);
  WaitUntil([&] { return NumMade() == 3; });
  EXPECT_EQ(NumWorkers(), 3U);
  EXPECT_EQ(model_->workers().max_workers, 3);
  for (size_t i = 0; i < 3; ++i) Engine(i).Resume();
  ends_.WaitFor(8);
  WaitUntil([&] { return NumWorkers() == 1; });
  // What the ended ones have counted stays.
  EXPECT_TRUE(ends_.errors().empty());
}

TEST_F(WorkerPoolTest, ScalingStartsAndEndsWorkers) {
  pause_ = true;
  Open({.max_running = 1});
  ASSERT_TRUE(model_->Apply({.min_workers = 3, .max_workers = 3}).ok());
  EXPECT_EQ(NumWorkers(), 3U);
  for (const char* name : {"a", "b", "c"}) Ask(name);
  EXPECT_EQ(Engine(2).num_live(), 1);
  // Those that leave finish what they have begun.
  ASSERT_TRUE(model_->Apply({.min_workers = 1, .max_workers = 1}).ok());
  const auto status = model_->workers();
  ASSERT_EQ(status.workers.size(), 3U);
  EXPECT_TRUE(status.workers[0].ready);
  EXPECT_FALSE(status.workers[2].ready);
  Ask("d");
  EXPECT_EQ(model_->workers().num_queued, 1);
  for (size_t i = 0; i < 3; ++i) Engine(i).Resume();
  ends_.WaitFor(4);
  WaitUntil([&] { return NumWorkers() == 1; });
  EXPECT_TRUE(ends_.errors().empty());
  refuse_ = "no memory";
  EXPECT_EQ(model_->Apply({.min_workers = 2, .max_workers = 2}).code(),
            StatusCode::kResourceExhausted);
  EXPECT_TRUE(model_->lacks_workers());
  EXPECT_TRUE(model_->healthy());
}

TEST_F(WorkerPoolTest, AWorkerThatIsLongInComingHoldsNothingUp) {
  Open({.min_workers = 1, .max_workers = 2, .max_running = 1});
  hold_ = true;
  Engine(0).Pause();
  for (const char* name : {"a", "b", "c"}) Ask(name);
  const auto waits = Ask("d");
  WaitUntil([&] { return num_asked_ > 0; });
  // Meanwhile, requests that wait are cancelled, and others are answered.
  waits->Cancel(Status(StatusCode::kCancelled, "the client has gone"));
  EXPECT_EQ(ends_.WaitFor(1), "d");
  Engine(0).Resume();
  EXPECT_EQ(ends_.WaitFor(4), "dabc");
  EXPECT_EQ(num_asked_.load(), 1);
  // The worker that is being made does not hold up the model's end.
  model_.reset();
  EXPECT_EQ(NumMade(), 1U);
}

TEST_F(WorkerPoolTest, AModelThatEndsGivesUpItsScaling) {
  Open({});
  hold_ = true;
  std::thread scaling([&] {
    EXPECT_EQ(model_->Apply({.min_workers = 2, .max_workers = 2}).code(), StatusCode::kCancelled);
  });
  WaitUntil([&] { return num_asked_ > 0; });
  model_->StopMakingWorkers();
  scaling.join();
  EXPECT_EQ(NumWorkers(), 1U);
}

TEST_F(WorkerPoolTest, NumbersThatCannotBeAreRefused) {
  Open({.min_workers = 1, .max_workers = 1});
  refuse_ = "one worker only";
  refusal_ = StatusCode::kUnsupported;
  EXPECT_EQ(model_->Apply({.min_workers = 2, .max_workers = 2}).message(), "one worker only");
  EXPECT_FALSE(model_->lacks_workers());
  EXPECT_EQ(model_->workers().max_workers, 1);
  Ask("a");
  EXPECT_EQ(ends_.WaitFor(1), "a");
}

TEST_F(WorkerPoolTest, AModelWithoutWorkersRefuses) {
  Open({});
  ASSERT_TRUE(model_->Apply({.min_workers = 0, .max_workers = 0}).ok());
  TextRequest request;
  request.text = "x";
  const auto refused = model_->Submit(request, std::make_shared<NamedSink>(ends_, "x"));
  EXPECT_TRUE(std::holds_alternative<NoWorkers>(refused.reason()));
  WaitUntil([&] { return NumWorkers() == 0; });
  // Temporary workers alone.
  ASSERT_TRUE(model_->Apply({.min_workers = 0, .max_workers = 1}).ok());
  Ask("a");
  EXPECT_EQ(ends_.WaitFor(1), "a");
}

TEST_F(WorkerPoolTest, ABatchIsTakenWholeAndAnsweredWhole) {
  pause_ = true;
  Open({.max_running = 8, .batch_size = 3, .max_batch_delay = seconds(3600)});
  Ask("a");
  Ask("b");
  EXPECT_EQ(Engine(0).num_submitted(), 0);
  Ask("c");
  EXPECT_EQ(Engine(0).num_submitted(), 3);
  for (const char* name : {"d", "e", "f", "g"}) Ask(name);
  // There is room, but the batch is not over.
  EXPECT_EQ(Engine(0).num_submitted(), 3);
  EXPECT_EQ(model_->workers().num_queued, 4);
  Engine(0).Resume();
  ends_.WaitFor(6);
  EXPECT_EQ(model_->workers().num_queued, 1);
  // Time passes, and the last one goes alone.
  ASSERT_TRUE(model_->Apply({.batch_size = 3, .max_batch_delay = milliseconds(1)}).ok());
  ends_.WaitFor(7);
}

TEST_F(WorkerPoolTest, AWorkerThatReplacesItsRunnerTakesRequestsAndIsNotReady) {
  pause_ = true;
  Open({.max_running = 4});
  Engine(0).SetRestarting(true);
  EXPECT_TRUE(model_->healthy());
  EXPECT_TRUE(model_->lacks_workers());
  ASSERT_EQ(NumWorkers(), 1U);
  EXPECT_FALSE(model_->workers().workers[0].ready);
  EXPECT_EQ(model_->stats().restarting, 1);
  Ask("a");
  EXPECT_EQ(Engine(0).num_submitted(), 1);
  Engine(0).SetRestarting(false);
  EXPECT_FALSE(model_->lacks_workers());
  EXPECT_TRUE(model_->workers().workers[0].ready);
  Engine(0).Resume();
  EXPECT_EQ(ends_.WaitFor(1), "a");
  EXPECT_EQ(NumMade(), 1U);
}

TEST_F(WorkerPoolTest, AFailedWorkerIsReplacedUpToTheThreshold) {
  Open({.max_running = 1, .retry_threshold = 1});
  Engine(0).Die();
  EXPECT_TRUE(model_->healthy());
  WaitUntil([&] { return NumMade() == 2 && NumWorkers() == 1; });
  EXPECT_FALSE(model_->lacks_workers());
  Ask("a");
  EXPECT_EQ(ends_.WaitFor(1), "a");
  Engine(1).Pause();
  Ask("b");
  WaitUntil([&] { return Engine(1).num_submitted() == 2; });
  Ask("c");
  Engine(1).Die();
  EXPECT_FALSE(model_->healthy());
  // Those that wait are told; no worker will come.
  EXPECT_EQ(ends_.WaitFor(2), "ac");
  EXPECT_EQ(ends_.errors(), std::vector<std::string>{"the model's workers have failed"});
  EXPECT_EQ(NumMade(), 2U);
}

}  // namespace
}  // namespace dray::serving
