#include "serving/repository.h"

#include <gtest/gtest.h>

#include "serving/testing/fakes.h"

namespace dray::serving {
namespace {

std::shared_ptr<Model> MakeModel(std::string name, std::string version, FakeEngine** engine) {
  ModelOptions options;
  options.name = std::move(name);
  options.version = std::move(version);
  auto fake = std::make_unique<FakeEngine>(FakeEngine::Options{});
  *engine = fake.get();
  return std::make_shared<Model>(options, std::move(fake), std::make_unique<ByteCodec>());
}

TEST(ModelRepositoryTest, AModelIsPendingThenReadyThenFailed) {
  ModelRepository repository;
  ASSERT_TRUE(repository.AddPending("m", "").ok());
  EXPECT_FALSE(repository.AddPending("m", "").ok());
  EXPECT_EQ(repository.Find("m", "").status().code(), StatusCode::kUnavailable);
  EXPECT_EQ(repository.Find("other", "").status().message(), "Model or workflow not found: other");
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

TEST(ModelRepositoryTest, FindsVersionsAndTheOnlyName) {
  ModelRepository repository;
  EXPECT_EQ(repository.OnlyName(), "");
  FakeEngine* engine = nullptr;
  for (const char* version : {"1", "2"}) {
    ASSERT_TRUE(repository.AddPending("m", version).ok());
    repository.SetReady(MakeModel("m", version, &engine));
  }
  EXPECT_EQ(repository.OnlyName(), "m");
  EXPECT_EQ((*repository.Find("m", ""))->options().version, "2");
  EXPECT_EQ((*repository.Find("m", "1"))->options().version, "1");
  EXPECT_EQ(repository.Find("m", "3").status().code(), StatusCode::kNotFound);
  ASSERT_TRUE(repository.AddPending("n", "").ok());
  EXPECT_EQ(repository.OnlyName(), "");
}

}  // namespace
}  // namespace dray::serving
