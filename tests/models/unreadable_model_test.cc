// Whole models on a backend whose memory the host cannot read and which runs behind its caller:
// logits and tokens are those of the processors' backend, bit for bit. If anything above kernels/
// touches a device's memory in place, or reuses too early what a call names, these tests fail.
#include <gtest/gtest.h>
#include <unistd.h>

#include <algorithm>
#include <filesystem>
#include <memory>
#include <string>
#include <vector>

#include "base/testing/source_dir.h"
#include "engine/calibrate.h"
#include "engine/engine_core.h"
#include "engine/speculation/model_drafter.h"
#include "engine/testing/sequence_scorer.h"
#include "kernels/make_backend.h"
#include "kernels/testing/reference.h"
#include "kernels/testing/unreadable_backend.h"
#include "testing/engine_support.h"
#include "testing/golden_model.h"
#include "testing/golden_run.h"

namespace dray::engine {
namespace {

using kernels::WeightForm;
using kernels::WeightFormat;
using testing::GoldenModel;

std::shared_ptr<kernels::Backend> MakeUnreadable() {
  auto backend = kernels::MakeBackend({.cpu = {.num_threads = 2}});
  if (backend.ok()) backend = kernels::MakeUnreadableBackend(std::move(*backend));
  EXPECT_TRUE(backend.ok()) << backend.status().ToString();
  return backend.ok() ? std::move(*backend) : nullptr;
}

// The same model on the processors' backend and on the unreadable one.
struct BothModels {
  std::unique_ptr<LoadedModel> plain;
  std::unique_ptr<LoadedModel> unreadable;
};

std::unique_ptr<LoadedModel> Load(const LoadModelOptions& options) {
  auto model = LoadModel(options);
  EXPECT_TRUE(model.ok()) << model.status().ToString();
  return model.ok() ? std::move(*model) : nullptr;
}

BothModels LoadBoth(LoadModelOptions options) {
  options.backend_options.cpu.num_threads = 2;
  BothModels both;
  both.plain = Load(options);
  options.backends = {MakeUnreadable()};
  both.unreadable = Load(options);
  return both;
}

// Of all wanted positions of all prompts.
std::vector<float> Logits(LoadedModel& model, const GoldenModel& golden, DType kv_dtype) {
  auto scorer = SequenceScorer::Make(model, {.kv_dtype = kv_dtype});
  EXPECT_TRUE(scorer.ok()) << scorer.status().ToString();
  std::vector<float> all;
  for (const auto& prompt : golden.prompts) {
    const auto logits = scorer->Logits(prompt.ids, prompt.logit_positions);
    EXPECT_TRUE(logits.ok()) << logits.status().ToString();
    all.insert(all.end(), logits->begin(), logits->end());
  }
  return all;
}

void ExpectSameLogits(const BothModels& both, const GoldenModel& golden,
                      DType kv_dtype = DType::kF32) {
  ASSERT_TRUE(both.plain != nullptr && both.unreadable != nullptr);
  const std::vector<float> logits = Logits(*both.unreadable, golden, kv_dtype);
  EXPECT_FALSE(logits.empty());
  EXPECT_TRUE(kernels::SameBits(logits, Logits(*both.plain, golden, kv_dtype)));
}

std::string TestName(const ::testing::TestParamInfo<std::string>& info) {
  std::string name = info.param;
  std::replace_if(
      name.begin(), name.end(), [](char c) { return !std::isalnum(c); }, '_');
  return name;
}

class UnreadableGoldenTest : public ::testing::TestWithParam<std::string> {};

TEST_P(UnreadableGoldenTest, LogitsAndTokensAreTheSame) {
  const GoldenModel golden = testing::ReadGoldenModel(GetParam());
  const BothModels both = LoadBoth({.model_dir = golden.dir, .format = WeightFormat::kF32});
  ExpectSameLogits(both, golden);
  const auto tokens = testing::GreedyTokens(*both.unreadable, golden);
  for (size_t i = 0; i < tokens.size(); ++i) EXPECT_EQ(tokens[i], golden.prompts[i].greedy);
}

INSTANTIATE_TEST_SUITE_P(Variants, UnreadableGoldenTest,
                         ::testing::ValuesIn(testing::GoldenVariants()), TestName);

TEST(UnreadableModelTest, EveryFormatOfWeightsAndCache) {
  const GoldenModel golden = testing::ReadGoldenModel("llama-gqa");
  for (const WeightForm& form : kernels::kAllForms) {
    const BothModels both = LoadBoth({.model_dir = golden.dir, .format = form});
    for (const DType kv_dtype : {DType::kBF16, DType::kI8}) {
      ExpectSameLogits(both, golden, kv_dtype);
    }
  }
}

// Checkpoints of integers: they are kept, or converted where no form keeps them.
class UnreadableQuantizedTest : public ::testing::TestWithParam<std::string> {};

TEST_P(UnreadableQuantizedTest, LogitsAreTheSame) {
  const GoldenModel golden = testing::ReadGoldenDir(SourceDir() / "tests/golden" / GetParam());
  LoadModelOptions options = {.model_dir = golden.dir};
  if (std::filesystem::exists(golden.dir / "model.gguf")) options.model_dir /= "model.gguf";
  ExpectSameLogits(LoadBoth(options), golden);
  options.format = WeightFormat::kI8;
  ExpectSameLogits(LoadBoth(options), golden);
}

INSTANTIATE_TEST_SUITE_P(Checkpoints, UnreadableQuantizedTest,
                         ::testing::Values("quantized/gptq-g32", "quantized/gptq-desc-act",
                                           "quantized/gptq-8bit-g32", "quantized/awq-g64",
                                           "gguf/quantised-llama-q4_k_m",
                                           "gguf/quantised-qwen2-q8_0"),
                         TestName);

// Several samples of each prompt, drawn at random, with guesses of a draft model.
std::vector<std::vector<int32_t>> SampledTokens(LoadedModel& model, LoadedModel& draft,
                                                const GoldenModel& golden, EngineStats& stats) {
  EngineOptions options = {.max_batch_tokens = 64, .max_sequences = 8, .block_size = 16};
  options.speculation.costs = SpeculationOptions::Costs::kFixed;
  auto core = EngineCore::Make(model, options, MakeModelDrafter(draft, 0));
  EXPECT_TRUE(core.ok()) << core.status().ToString();
  constexpr int kSamples = 3;
  std::vector<std::shared_ptr<RecordingSink>> sinks;
  for (const auto& prompt : golden.prompts) {
    GenerateRequest request = MakeRequest(prompt.ids, 20);
    request.params.n = kSamples;
    request.params.do_sample = true;
    request.params.seed = 7;
    sinks.push_back(std::make_shared<RecordingSink>());
    (*core)->Add(RequestId(sinks.size()), std::move(request), sinks.back());
  }
  while ((*core)->Step()) {
  }
  std::vector<std::vector<int32_t>> tokens;
  for (const auto& sink : sinks) {
    EXPECT_TRUE(sink->status().ok()) << sink->status().ToString();
    for (int i = 0; i < kSamples; ++i) tokens.push_back(sink->Ids(i));
  }
  stats = (*core)->stats();
  return tokens;
}

TEST(UnreadableModelTest, SamplesThatShareBlocksAndADraftModel) {
  const GoldenModel golden = testing::ReadGoldenModel("llama-gqa");
  const BothModels both = LoadBoth({.model_dir = golden.dir, .format = WeightFormat::kF32});
  ASSERT_TRUE(both.plain != nullptr && both.unreadable != nullptr);
  const auto draft = Load({.model_dir = golden.dir,
                           .format = WeightFormat::kI8,
                           .backends = {both.unreadable->ranks[0].backend}});
  ASSERT_NE(draft, nullptr);
  const auto plain_draft = Load({.model_dir = golden.dir,
                                 .format = WeightFormat::kI8,
                                 .backends = {both.plain->ranks[0].backend}});
  EngineStats stats, plain_stats;
  const auto tokens = SampledTokens(*both.unreadable, *draft, golden, stats);
  EXPECT_EQ(tokens, SampledTokens(*both.plain, *plain_draft, golden, plain_stats));
  EXPECT_GT(stats.accepted_tokens, 0u);
  EXPECT_EQ(stats.accepted_tokens, plain_stats.accepted_tokens);
}

// Calibration reads activations, which lie in the backend's memory.
TEST(UnreadableModelTest, CalibrationAndSmoothing) {
  const GoldenModel golden = testing::ReadGoldenModel("llama-gqa");
  const auto path = std::filesystem::path(::testing::TempDir()) /
                    ("unreadable" + std::to_string(::getpid()) + ".json");
  LoadModelOptions options = {.model_dir = golden.dir, .format = WeightFormat::kF32};
  std::vector<std::vector<float>> peaks;
  for (const auto& backend : {std::shared_ptr<kernels::Backend>(), MakeUnreadable()}) {
    if (backend != nullptr) options.backends = {backend};
    auto calibrator = Calibrator::Load(options);
    ASSERT_TRUE(calibrator.ok()) << calibrator.status().ToString();
    for (const auto& prompt : golden.prompts) {
      const Status status = (*calibrator)->Read(prompt.ids);
      ASSERT_TRUE(status.ok()) << status.ToString();
    }
    const auto last = (*calibrator)->calibration().Peaks(model::Slot::kFfnOut, 0);
    peaks.emplace_back(last.begin(), last.end());
    EXPECT_GT(*std::max_element(last.begin(), last.end()), 0.0f);
    ASSERT_TRUE(model::WriteCalibration((*calibrator)->calibration(), path).ok());
  }
  EXPECT_TRUE(kernels::SameBits(peaks[0], peaks[1]));
  options = {.model_dir = golden.dir,
             .format = WeightFormat::kI8,
             .smoothing = SmoothingOptions{path, 0.5}};
  ExpectSameLogits(LoadBoth(options), golden);
  std::filesystem::remove(path);
}

// The engine's own objects hold addresses of the backend. To read one in place is caught.
TEST(UnreadableModelDeathTest, AReadOfWeightsOrCacheByTheHostIsCaught) {
  GTEST_FLAG_SET(death_test_style, "threadsafe");
  const GoldenModel golden = testing::ReadGoldenModel("llama-gqa");
  const auto model = Load({.model_dir = golden.dir, .backends = {MakeUnreadable()}});
  ASSERT_NE(model, nullptr);
  const float* norm = model->ranks[0].weights.Vector(model::Slot::kFinalNormWeight);
  ASSERT_NE(norm, nullptr);
  EXPECT_DEATH({ [[maybe_unused]] volatile float read = *norm; }, "");
  const auto cache = model::KvCache::Make(*model->ranks[0].backend, model->description.config.stack,
                                          {.num_blocks = 1, .block_size = 16});
  ASSERT_TRUE(cache.ok());
  const auto* keys = static_cast<const float*>(cache->Layer(0).keys);
  EXPECT_DEATH({ [[maybe_unused]] volatile float read = *keys; }, "");
}

}  // namespace
}  // namespace dray::engine
