// Whole encoders, from texts to vectors and classes, against sentence-transformers and transformers;
// and what of their requests is refused, cut, cancelled or computed together.
#include <gtest/gtest.h>

#include <chrono>
#include <cmath>
#include <thread>

#include "serving/encoder/encoding.h"
#include "testing/sentence_golden.h"

namespace dray::serving {
namespace {

using engine::EncodeOutput;
using testing::AnswerWait;
using testing::Encode;
using testing::OpenSentenceModel;
using testing::ReadSentenceGolden;
using testing::SentenceGolden;

// Vectors of length about one, and outputs of classifiers below ten.
constexpr float kTolerance = 1e-5f;

void ExpectNear(const std::vector<float>& got, const std::vector<float>& expected, size_t input) {
  ASSERT_EQ(got.size(), expected.size());
  for (size_t i = 0; i < got.size(); ++i) {
    EXPECT_NEAR(got[i], expected[i], kTolerance) << "input " << input << ", number " << i;
  }
}

void CheckGolden(const std::string& name, EncodeOutput output) {
  const SentenceGolden golden = ReadSentenceGolden(name);
  const auto model = OpenSentenceModel(name);
  ASSERT_NE(model, nullptr);
  const EncodeAnswer all = Encode(*model, {.inputs = golden.inputs, .output = output});
  ASSERT_EQ(all.numbers.size(), golden.numbers.size());
  for (size_t i = 0; i < golden.inputs.size(); ++i) {
    ExpectNear(all.numbers[i], golden.numbers[i], i);
    const EncodeAnswer one = Encode(*model, {.inputs = {golden.inputs[i]}, .output = output});
    ASSERT_EQ(one.numbers.size(), 1u);
    EXPECT_EQ(one.numbers[0], all.numbers[i]) << "alone";
  }
}

TEST(SentenceModelTest, MeanAndNormalize) { CheckGolden("mean", EncodeOutput::kVector); }
TEST(SentenceModelTest, SeveralPoolingsAndADenseLayer) {
  CheckGolden("dense", EncodeOutput::kVector);
}
TEST(SentenceModelTest, ARankerScoresPairs) { CheckGolden("ranker", EncodeOutput::kClasses); }
TEST(SentenceModelTest, AClassifierOfPairs) { CheckGolden("classes", EncodeOutput::kClasses); }

TEST(SentenceModelTest, ManyRequestsAtOnceGetTheSameNumbers) {
  const SentenceGolden golden = ReadSentenceGolden("mean");
  const auto model = OpenSentenceModel("mean");
  ASSERT_NE(model, nullptr);
  const EncodeAnswer expected = Encode(*model, {.inputs = golden.inputs});
  std::vector<std::thread> threads;
  for (int t = 0; t < 4; ++t) {
    threads.emplace_back([&] {
      for (int i = 0; i < 20; ++i) {
        EXPECT_EQ(Encode(*model, {.inputs = golden.inputs}).numbers, expected.numbers);
      }
    });
  }
  for (std::thread& thread : threads) thread.join();
  EXPECT_EQ(model->num_in_flight(), 0);
  EXPECT_EQ(model->metrics().ended[static_cast<size_t>(RequestOutcome::kStop)], 81u);
  EXPECT_GT(model->stats().prompt_tokens, 0u);
}

TEST(SentenceModelTest, TokensMayComeInPlaceOfText) {
  const auto model = OpenSentenceModel("mean");
  ASSERT_NE(model, nullptr);
  const EncodeAnswer text = Encode(*model, {.inputs = {InputText{"word"}}});
  const EncodeAnswer states =
      Encode(*model, {.inputs = {InputText{"word"}}, .output = EncodeOutput::kStates});
  ASSERT_EQ(states.numbers.size(), 1u);
  EXPECT_EQ(states.numbers[0].size(), static_cast<size_t>(text.num_tokens[0]) * 24);
  EXPECT_EQ(Encode(*model, {.inputs = {InputTokens{7, 8}}}).num_tokens, std::vector<int64_t>{2});
}

TEST(SentenceModelTest, WhatDoesNotFitIsRefusedOrCut) {
  const auto model = OpenSentenceModel("mean");
  ASSERT_NE(model, nullptr);
  std::string text;
  for (int i = 0; i < 50; ++i) text += "cat ";
  EncodeCall call = {.inputs = {InputText{text}}};
  EXPECT_EQ(Encode(*model, call).num_tokens, std::vector<int64_t>{20});
  call.too_long = TooLong::kRefuse;
  const auto wait = std::make_shared<AnswerWait>();
  const auto refused = model->Encode(call, wait);
  ASSERT_FALSE(refused.ok());
  EXPECT_TRUE(std::holds_alternative<TextTooLong>(refused.reason())) << refused.status().ToString();
  for (const InputTokens& tokens : {InputTokens{}, InputTokens{-1}, InputTokens{1 << 30}}) {
    EXPECT_EQ(model->Encode({.inputs = {tokens}}, wait).status().code(),
              StatusCode::kInvalidArgument);
  }
  const Status no_classes =
      model->Encode({.inputs = {InputText{"a"}}, .output = EncodeOutput::kClasses}, wait).status();
  EXPECT_EQ(no_classes.code(), StatusCode::kUnsupported);
  EXPECT_NE(no_classes.message().find("no classes"), std::string::npos);
  TextRequest prompt;
  prompt.text = "a";
  const Status generated = model->Submit(prompt, nullptr).status();
  EXPECT_EQ(generated.code(), StatusCode::kUnsupported);
  EXPECT_NE(generated.message().find("is an encoder"), std::string::npos);
}

TEST(SentenceModelTest, ACancelledRequestEndsWithItsReason) {
  const auto model = OpenSentenceModel("mean");
  ASSERT_NE(model, nullptr);
  EncodeCall call;
  for (int i = 0; i < 2000; ++i) call.inputs.emplace_back(InputText{"the cat sat on the mat"});
  const auto wait = std::make_shared<AnswerWait>();
  const auto encoding = model->Encode(call, wait);
  ASSERT_TRUE(encoding.ok());
  (*encoding)->Cancel(TimedOut{std::chrono::milliseconds(5)});
  const auto answer = wait->Wait();
  // All passes may have been computed before the cancellation came.
  if (!answer.ok()) {
    EXPECT_TRUE(std::holds_alternative<TimedOut>(answer.reason()));
  }
  EXPECT_TRUE((*encoding)->over());
  EXPECT_EQ(Encode(*model, {.inputs = {InputText{"cat"}}}).numbers.size(), 1u);
}

TEST(SentenceModelTest, AModelThatEndsCancelsWhatItHas) {
  auto model = OpenSentenceModel("mean");
  ASSERT_NE(model, nullptr);
  EncodeCall call;
  for (int i = 0; i < 500; ++i) call.inputs.emplace_back(InputText{"cat"});
  const auto wait = std::make_shared<AnswerWait>();
  const auto encoding = model->Encode(call, wait);
  ASSERT_TRUE(encoding.ok());
  model.reset();
  const auto answer = wait->Wait();
  if (!answer.ok()) {
    EXPECT_EQ(answer.status().code(), StatusCode::kCancelled);
  }
  (*encoding)->Cancel(Status(StatusCode::kCancelled, "late"));
}

// A server for several models may be told to have several workers of each.
TEST(SentenceModelTest, ThereIsOneWorkerHoweverManyAreAskedFor) {
  settings::ModelSettings settings;
  settings.workers.min_workers = settings.workers.max_workers = 2;
  const auto model = OpenSentenceModel("mean", settings);
  ASSERT_NE(model, nullptr);
  EXPECT_EQ(model->workers().workers.size(), 1U);
  EXPECT_FALSE(model->lacks_workers());
  EXPECT_EQ(model->Apply({.min_workers = 2, .max_workers = 2}).code(), StatusCode::kUnsupported);
  EXPECT_FALSE(model->lacks_workers());
  EXPECT_EQ(Encode(*model, {.inputs = {InputText{"word"}}}).num_tokens.size(), 1U);
}

TEST(SentenceModelTest, RanksGiveTheSameVectors) {
  const SentenceGolden golden = ReadSentenceGolden("dense");
  settings::ModelSettings settings;
  settings.tensor_parallel_degree = 2;
  settings.oversubscribe = true;
  const auto model = OpenSentenceModel("dense", settings);
  ASSERT_NE(model, nullptr);
  const EncodeAnswer all = Encode(*model, {.inputs = golden.inputs});
  ASSERT_EQ(all.numbers.size(), golden.numbers.size());
  for (size_t i = 0; i < golden.inputs.size(); ++i)
    ExpectNear(all.numbers[i], golden.numbers[i], i);
}

// Two stages, and two ranks where the model has one layer and makes vectors by dense ones.
TEST(SentenceModelTest, RanksAndStagesAnswerManyRequestsAtOnce) {
  for (const std::string name : {"mean", "dense", "classes"}) {
    SCOPED_TRACE(name);
    const EncodeCall call = {
        .inputs = ReadSentenceGolden(name).inputs,
        .output = name == "classes" ? EncodeOutput::kClasses : EncodeOutput::kVector};
    settings::ModelSettings settings;
    settings.oversubscribe = true;
    (name == "mean" ? settings.pipeline_parallel_degree : settings.tensor_parallel_degree) = 2;
    const auto model = OpenSentenceModel(name, settings);
    ASSERT_NE(model, nullptr);
    const EncodeAnswer first = Encode(*model, call);
    const auto golden = ReadSentenceGolden(name);
    ASSERT_EQ(first.numbers.size(), golden.numbers.size());
    for (size_t i = 0; i < golden.numbers.size(); ++i) {
      ExpectNear(first.numbers[i], golden.numbers[i], i);
    }
    std::vector<std::thread> threads;
    for (int t = 0; t < 4; ++t) {
      threads.emplace_back([&] {
        for (int i = 0; i < 10; ++i) EXPECT_EQ(Encode(*model, call).numbers, first.numbers);
      });
    }
    for (std::thread& thread : threads) thread.join();
  }
}

// The memory of the passes is taken beside that of the weights, and given back with the model.
TEST(SentenceModelTest, ItsWorkingMemoryIsTakenOfTheBudget) {
  constexpr int64_t kRoom = int64_t{1} << 30;
  const auto dir = testing::SentenceDir("mean");
  MemoryBudget budget([] { return kRoom; });
  settings::ModelSettings settings;
  const auto open = [&] {
    OpenModelOptions options;
    options.budget = &budget;
    return OpenModel(settings, {.model = dir, .tokenizer = dir, .draft = {}}, std::move(options));
  };
  {
    const auto model = open();
    ASSERT_TRUE(model.ok()) << model.status().ToString();
    // A pass has 512 tokens. Each has 24 floats of the stream, 72 of queries, keys and values, 24 of
    // attention, and 32 of the feed-forward.
    EXPECT_LT(budget.available_bytes(), kRoom - 512 * (24 + 72 + 24 + 32) * int64_t{sizeof(float)});
  }
  EXPECT_EQ(budget.available_bytes(), kRoom);
  settings.max_rolling_batch_prefill_tokens = 1 << 24;
  const auto refused = open();
  ASSERT_FALSE(refused.ok());
  EXPECT_EQ(refused.status().code(), StatusCode::kResourceExhausted);
  EXPECT_NE(refused.status().message().find("working memory"), std::string::npos)
      << refused.status().message();
  EXPECT_EQ(budget.available_bytes(), kRoom);
}

TEST(SentenceModelTest, TasksThatDoNotFitAreRefused) {
  settings::ModelSettings settings;
  for (const auto task : {settings::Task::kTextGeneration, settings::Task::kTextClassification}) {
    settings.task = task;
    const auto dir = testing::SentenceDir("mean");
    const auto model = OpenModel(settings, {.model = dir, .tokenizer = dir, .draft = {}});
    ASSERT_FALSE(model.ok());
    EXPECT_NE(model.status().message().find("option.task"), std::string::npos);
  }
  settings.task = settings::Task::kTextEmbedding;
  const auto demo = SourceDir() / "models/demo";
  EXPECT_NE(OpenModel(settings, {.model = demo, .tokenizer = demo, .draft = {}})
                .status()
                .message()
                .find("make no vectors"),
            std::string::npos);
}

}  // namespace
}  // namespace dray::serving
