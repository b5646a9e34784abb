#include "serving/repository.h"

#include <gtest/gtest.h>

#include <atomic>
#include <chrono>
#include <future>
#include <memory>
#include <thread>

#include "serving/testing/fakes.h"

namespace dray::serving {
namespace {

using Clock = std::chrono::steady_clock;

std::shared_ptr<ServedModel> MakeModel(std::string name, std::string version, FakeEngine** engine) {
  ModelOptions options;
  options.name = std::move(name);
  options.version = std::move(version);
  auto fake = std::make_unique<FakeEngine>(FakeEngine::Options{});
  *engine = fake.get();
  return std::make_shared<ServedModel>(options, std::move(fake), std::make_unique<ByteCodec>());
}

TEST(ModelRepositoryTest, AModelIsPendingThenReadyThenFailed) {
  ModelRepository repository;
  ASSERT_TRUE(repository.AddPending("m", "").ok());
  EXPECT_FALSE(repository.AddPending("m", "").ok());
  EXPECT_EQ(std::get<ModelNotReady>(repository.Find("m", "").reason()).state, ModelState::kPending);
  EXPECT_EQ(std::get<ModelUnknown>(repository.Find("other", "").reason()).name, "other");
  repository.SetLoading("m", "");
  EXPECT_EQ(std::get<ModelNotReady>(repository.Find("m", "").reason()).state, ModelState::kLoading);
  FakeEngine* engine = nullptr;
  repository.SetReady(MakeModel("m", "", &engine));
  EXPECT_TRUE(repository.Find("m", "").ok());
  EXPECT_EQ(repository.List()[0].state, ModelState::kReady);
  engine->Die();
  EXPECT_EQ(repository.List()[0].state, ModelState::kFailed);
}

TEST(ModelRepositoryTest, AFailedModelSaysWhy) {
  ModelRepository repository;
  ASSERT_TRUE(repository.AddPending("m", "1").ok());
  repository.SetFailed("m", "1", Status(StatusCode::kCorrupt, "broken"));
  EXPECT_EQ(repository.List()[0].failure.message(), "broken");
  EXPECT_EQ(repository.Find("m", "1").status().code(), StatusCode::kUnavailable);
}

TEST(ModelRepositoryTest, VersionsTakeTurns) {
  ModelRepository repository;
  FakeEngine* engine = nullptr;
  const auto add = [&](const char* version) {
    ASSERT_TRUE(repository.AddPending("m", version).ok());
    repository.SetReady(MakeModel("m", version, &engine));
  };
  const auto find = [&](int count) {
    std::string versions;
    for (int i = 0; i < count; ++i) versions += (*repository.Find("m", ""))->options().version;
    return versions;
  };
  add("1");
  EXPECT_EQ(find(4), "1111");
  add("2");
  EXPECT_EQ(find(6), "121212");
  EXPECT_EQ((*repository.Find("m", "2"))->options().version, "2");
  EXPECT_EQ(repository.Find("m", "3").status().code(), StatusCode::kNotFound);
  // A version that is still being loaded has no turn.
  ASSERT_TRUE(repository.AddPending("m", "3").ok());
  EXPECT_EQ(find(3), "121");
  EXPECT_FALSE(repository.Find("m", "3").ok());
  EXPECT_EQ(repository.Versions("m", "").size(), 3U);
  EXPECT_EQ(repository.Versions("m", "2").size(), 1U);
  EXPECT_TRUE(repository.Versions("n", "").empty());
}

TEST(ModelRepositoryTest, TheOnlyNameIsThatOfTheStart) {
  ModelRepository repository;
  EXPECT_EQ(repository.OnlyName(), "");
  ASSERT_TRUE(repository.AddPending("later", "").ok());
  EXPECT_EQ(repository.OnlyName(), "");
  ASSERT_TRUE(repository.AddPending("m", "1", ModelOrigin::kStartUp).ok());
  ASSERT_TRUE(repository.AddPending("m", "2", ModelOrigin::kStartUp).ok());
  EXPECT_EQ(repository.OnlyName(), "m");
  ASSERT_TRUE(repository.AddPending("n", "", ModelOrigin::kStartUp).ok());
  EXPECT_EQ(repository.OnlyName(), "");
  repository.Forget("n", "");
  EXPECT_EQ(repository.OnlyName(), "m");
}

TEST(ModelRepositoryTest, TellsHowFarAModelIsLoaded) {
  ModelRepository repository;
  ASSERT_TRUE(repository.AddPending("m", "", ModelOrigin::kRunTime, "/path").ok());
  repository.SetProgress("m", "", 5, 20);
  const ModelInfo info = repository.List()[0];
  EXPECT_EQ(info.url, "/path");
  EXPECT_EQ(info.loaded_bytes, 5U);
  EXPECT_EQ(info.total_bytes, 20U);
}

TEST(ModelRepositoryTest, StartUpIsDoneWhenItsModelsAre) {
  ModelRepository repository;
  EXPECT_TRUE(repository.StartUpDone());
  ASSERT_TRUE(repository.AddPending("m", "", ModelOrigin::kStartUp).ok());
  ASSERT_TRUE(repository.AddPending("later", "").ok());
  EXPECT_FALSE(repository.StartUpDone());
  repository.SetLoading("m", "");
  EXPECT_FALSE(repository.StartUpDone());
  FakeEngine* engine = nullptr;
  EXPECT_EQ(repository.load_stats().start_up.count(), 0);
  repository.SetReady(MakeModel("m", "", &engine));
  EXPECT_TRUE(repository.StartUpDone());
  const auto start_up = repository.load_stats().start_up;
  EXPECT_GT(start_up.count(), 0);
  // What is loaded later does not count.
  repository.SetReady(MakeModel("later", "", &engine));
  EXPECT_EQ(repository.load_stats().start_up, start_up);
}

// Waits for the end of one request.
class EndSink final : public TextSink {
 public:
  void OnEvent(TextEvent event) override {
    if (const auto* end = std::get_if<EndEvent>(&event)) end_.set_value(end->status());
  }
  Status Wait() { return end_.get_future().get(); }

 private:
  std::promise<Status> end_;
};

TextRequest Ask() {
  TextRequest request;
  request.text = "x";
  return request;
}

TEST(ModelRepositoryTest, RemoveLetsRequestsFinish) {
  ModelRepository repository;
  FakeEngine* engine = nullptr;
  ASSERT_TRUE(repository.AddPending("m", "").ok());
  repository.SetReady(MakeModel("m", "", &engine));
  engine->Pause();
  auto sink = std::make_shared<EndSink>();
  {
    const auto model = repository.Find("m", "");
    ASSERT_TRUE((*model)->Submit(Ask(), sink).ok());
  }
  auto removed = std::async(std::launch::async, [&] {
    return repository.Remove("m", "", Clock::now() + std::chrono::seconds(60));
  });
  while (repository.List()[0].state != ModelState::kUnloading) std::this_thread::yield();
  EXPECT_EQ(std::get<ModelNotReady>(repository.Find("m", "").reason()).state,
            ModelState::kUnloading);
  EXPECT_EQ(repository.Remove("m", "", Clock::now()).code(), StatusCode::kUnavailable);
  engine->Resume();
  EXPECT_TRUE(sink->Wait().ok());
  EXPECT_TRUE(removed.get().ok());
  EXPECT_TRUE(repository.List().empty());
  EXPECT_EQ(repository.Remove("m", "", Clock::now()).code(), StatusCode::kNotFound);
  EXPECT_TRUE(repository.AddPending("m", "").ok());
}

TEST(ModelRepositoryTest, RemoveEndsWhatDoesNotFinishInTime) {
  ModelRepository repository;
  FakeEngine* engine = nullptr;
  ASSERT_TRUE(repository.AddPending("m", "").ok());
  repository.SetReady(MakeModel("m", "", &engine));
  engine->Pause();
  auto sink = std::make_shared<EndSink>();
  {
    const auto model = repository.Find("m", "");
    ASSERT_TRUE((*model)->Submit(Ask(), sink).ok());
  }
  EXPECT_TRUE(repository.Remove("m", "", Clock::now()).ok());
  EXPECT_EQ(sink->Wait().message(), "model \"m\" is shutting down");
}

// A scrape of metrics, for one, must not be the one that ends a model's threads.
TEST(ModelRepositoryTest, RemoveWaitsForEveryoneElse) {
  ModelRepository repository;
  FakeEngine* engine = nullptr;
  ASSERT_TRUE(repository.AddPending("m", "").ok());
  repository.SetReady(MakeModel("m", "", &engine));
  auto held = repository.Versions("m", "")[0].model;
  std::atomic<bool> removed = false;
  std::thread remover([&] {
    EXPECT_TRUE(repository.Remove("m", "", Clock::now()).ok());
    removed = true;
  });
  while (repository.List()[0].state != ModelState::kUnloading) std::this_thread::yield();
  std::this_thread::sleep_for(std::chrono::milliseconds(5));
  EXPECT_FALSE(removed);
  const std::weak_ptr<ServedModel> watch = held;
  held.reset();
  remover.join();
  EXPECT_TRUE(watch.expired());
  EXPECT_TRUE(repository.List().empty());
}

TEST(ModelRepositoryTest, AModelIsLeftToAHolderThatDoesNotLetGo) {
  FakeEngine* engine = nullptr;
  auto model = MakeModel("m", "", &engine);
  auto held = model;
  const std::weak_ptr<ServedModel> watch = model;
  ReleaseModel(std::move(model), std::chrono::milliseconds(1));
  EXPECT_FALSE(watch.expired());
  held.reset();
  EXPECT_TRUE(watch.expired());
}

TEST(ModelRepositoryTest, RemoveRefusesWhatIsBeingLoaded) {
  ModelRepository repository;
  ASSERT_TRUE(repository.AddPending("m", "").ok());
  repository.SetLoading("m", "");
  EXPECT_EQ(repository.Remove("m", "", Clock::now()).code(), StatusCode::kUnavailable);
  repository.SetFailed("m", "", Status(StatusCode::kCorrupt, "broken"));
  EXPECT_TRUE(repository.Remove("m", "", Clock::now()).ok());
}

}  // namespace
}  // namespace dray::serving
