// Loads that are held up at a place that the test chooses. tests/management/ has the manager behind
// its API.
#include "serving/manager/model_manager.h"

#include <gtest/gtest.h>
#include <stdlib.h>

#include <atomic>
#include <filesystem>
#include <fstream>
#include <future>
#include <optional>
#include <string>
#include <thread>

#include "base/log.h"
#include "base/testing/source_dir.h"

namespace dray::serving {
namespace {

namespace fs = std::filesystem;
using std::chrono::milliseconds;

constexpr auto kForget = ModelManager::OnFailure::kForget;

// Where a load waits for the test.
class Gate {
 public:
  // Waits until the gate is open; says that a load has arrived.
  void Pass() {
    ++num_arrived_;
    num_arrived_.notify_all();
    open_.wait(false);
  }
  void AwaitArrival() { num_arrived_.wait(0); }
  void Open() {
    open_ = true;
    open_.notify_all();
  }

 private:
  std::atomic<int> num_arrived_{0};
  std::atomic<bool> open_{false};
};

// The outcome of an operation.
class Outcome {
 public:
  ModelManager::Done Done() {
    return [this](const Status& status) { promise_.set_value(status); };
  }
  Status Wait() { return promise_.get_future().get(); }

 private:
  std::promise<Status> promise_;
};

class ModelManagerTest : public testing::Test {
 protected:
  ModelManagerTest() {
    SetLogLevel(LogLevel::kOff);
    std::string pattern = testing::TempDir() + "manager_XXXXXX";
    EXPECT_NE(::mkdtemp(pattern.data()), nullptr);
    root_ = pattern;
    fs::copy(SourceDir() / "models/demo", root_ / "model");
  }
  ~ModelManagerTest() override {
    manager_.reset();
    fs::remove_all(root_);
  }

  void Start(milliseconds reload_interval = milliseconds(0)) {
    ModelManager::Options options;
    options.reload_interval = reload_interval;
    manager_ = std::make_unique<ModelManager>(options, repository_);
  }
  Result<ResolvedFiles> Resolve() const {
    settings::SettingSources sources;
    sources.flags = {{"kv-cache-bytes", "8MiB"}, {"max-model-len", "128"}};
    return ResolveModelFiles(std::move(sources), root_ / "model");
  }
  Registration Model(const std::string& name) const {
    Registration registration;
    registration.name = name;
    registration.url = (root_ / "model").string();
    registration.resolve = [this] { return Resolve(); };
    return registration;
  }
  // A model whose load waits at the gate before its weights are read.
  Registration Held(const std::string& name, Gate& gate) const {
    Registration registration = Model(name);
    registration.resolve = [this, &gate] {
      gate.Pass();
      return Resolve();
    };
    return registration;
  }
  std::vector<std::string> Names() const {
    std::vector<std::string> names;
    for (const ModelInfo& info : repository_.List()) names.push_back(info.name);
    return names;
  }

  fs::path root_;
  ModelRepository repository_;
  std::unique_ptr<ModelManager> manager_;
};

TEST_F(ModelManagerTest, AModelThatWaitsForItsTurnIsUnregisteredAtOnce) {
  Gate gate;
  Outcome first, second, removed;
  Start();
  ASSERT_TRUE(manager_->Register(Held("first", gate), kForget, first.Done()).ok());
  gate.AwaitArrival();
  ASSERT_TRUE(manager_->Register(Model("second"), kForget, second.Done()).ok());
  ASSERT_FALSE(manager_->Unregister("second", "", removed.Done()).has_value());
  EXPECT_TRUE(removed.Wait().ok());
  EXPECT_EQ(second.Wait().code(), StatusCode::kCancelled);
  EXPECT_EQ(Names(), std::vector<std::string>{"first"});
  gate.Open();
  EXPECT_TRUE(first.Wait().ok());
  EXPECT_EQ(repository_.load_stats().failures, 0U);
}

TEST_F(ModelManagerTest, AModelThatIsBeingLoadedIsLoadedNoFurther) {
  for (const auto on_failure : {kForget, ModelManager::OnFailure::kKeepFailed}) {
    Gate gate;
    Outcome registered, removed, again;
    Start();
    ASSERT_TRUE(manager_->Register(Held("a", gate), on_failure, registered.Done()).ok());
    gate.AwaitArrival();
    ASSERT_FALSE(manager_->Unregister("a", "", removed.Done()).has_value());
    gate.Open();
    EXPECT_TRUE(removed.Wait().ok());
    const Status status = registered.Wait();
    // The load may have got the word too late, and the model was unregistered behind it.
    EXPECT_TRUE(status.ok() || status.code() == StatusCode::kCancelled) << status.message();
    EXPECT_TRUE(Names().empty());
    ASSERT_TRUE(manager_->Register(Model("a"), kForget, again.Done()).ok());
    EXPECT_TRUE(again.Wait().ok());
    Outcome ended;
    ASSERT_FALSE(manager_->Unregister("a", "", ended.Done()).has_value());
    EXPECT_TRUE(ended.Wait().ok());
  }
}

TEST_F(ModelManagerTest, ALoadThatFailsIsCounted) {
  Outcome registered;
  Start();
  Registration registration = Model("a");
  registration.resolve = [] { return Status(StatusCode::kCorrupt, "broken"); };
  ASSERT_TRUE(manager_->Register(std::move(registration), kForget, registered.Done()).ok());
  EXPECT_EQ(registered.Wait().message(), "broken");
  EXPECT_TRUE(Names().empty());
  EXPECT_EQ(repository_.load_stats().failures, 1U);
}

TEST_F(ModelManagerTest, AReloadResolvesAnewAndOneIsEnoughForManyChanges) {
  std::atomic<int> num_resolved{0};
  Gate gate;
  Outcome registered, other;
  Start(milliseconds(1));
  Registration registration = Model("a");
  registration.resolve = [&] {
    ++num_resolved;
    num_resolved.notify_all();
    return Resolve();
  };
  ASSERT_TRUE(manager_->Register(std::move(registration), kForget, registered.Done()).ok());
  ASSERT_TRUE(registered.Wait().ok());
  EXPECT_EQ(num_resolved, 1);
  const auto times = repository_.Versions("a", "")[0].model->load_times();
  EXPECT_GE(times.total, times.find + times.load);
  // While another model is loaded, no change can be loaded; all of them are loaded at once then.
  ASSERT_TRUE(manager_->Register(Held("b", gate), kForget, other.Done()).ok());
  gate.AwaitArrival();
  for (int size = 70; size < 75; ++size) {
    std::ofstream(root_ / "model/serving.properties") << "job_queue_size=" << size << "\n";
    std::this_thread::sleep_for(milliseconds(5));
  }
  gate.Open();
  ASSERT_TRUE(other.Wait().ok());
  const auto queue_size = [&] {
    return repository_.Versions("a", "")[0].model->options().job_queue_size;
  };
  while (queue_size() != 74) std::this_thread::sleep_for(milliseconds(1));
  // The last change may have been seen after the reload that began.
  EXPECT_LE(num_resolved, 3);
  // A further reload would use what this test has on its stack.
  manager_.reset();
}

}  // namespace
}  // namespace dray::serving
