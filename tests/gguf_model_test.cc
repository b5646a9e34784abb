// GGUF files that the `gguf` package wrote (tests/golden/make_gguf_goldens.py) against what
// transformers computes from the same weights.
#include <gtest/gtest.h>

#include <algorithm>
#include <filesystem>

#include "engine/loaded_model.h"
#include "golden_model.h"
#include "golden_run.h"

namespace dray::engine {
namespace {

namespace fs = std::filesystem;

// As in golden_model_test.cc: float32 noise of these models is at most 3e-5 of the largest logit.
constexpr double kRelativeTolerance = 1e-4;

constexpr const char* kWhole = ".gguf";
constexpr const char* kFirstOfThree = "-00001-of-00003.gguf";

fs::path GgufDir() { return fs::path(DRAY_SOURCE_DIR) / "tests/golden/gguf"; }

std::unique_ptr<LoadedModel> Load(const fs::path& path) {
  auto model =
      LoadModel({.model_dir = path, .format = kernels::WeightFormat::kF32, .num_threads = 2});
  EXPECT_TRUE(model.ok()) << model.status().ToString();
  return model.ok() ? std::move(*model) : nullptr;
}

// Models that are also in tests/golden/models, by name; a model in parts under its first one's.
std::vector<std::string> ConvertedModels() {
  std::vector<std::string> names;
  for (const std::string& variant : testing::GoldenVariants()) {
    for (const char* tail : {kWhole, kFirstOfThree}) {
      if (fs::exists(GgufDir() / (variant + tail))) names.push_back(variant + tail);
    }
  }
  return names;
}

class ConvertedModelTest : public ::testing::TestWithParam<std::string> {};

TEST_P(ConvertedModelTest, ComputesWhatTheOriginalDoes) {
  std::string variant = GetParam();
  variant.resize(variant.find(variant.ends_with(kFirstOfThree) ? kFirstOfThree : kWhole));
  const auto golden = testing::ReadGoldenModel(variant);
  const auto model = Load(GgufDir() / GetParam());
  ASSERT_NE(model, nullptr);
  EXPECT_EQ(model->checkpoint_format, "gguf");
  EXPECT_LE(testing::WorstLogitError(*model, golden), kRelativeTolerance);
  const auto tokens = testing::GreedyTokens(*model, golden);
  for (size_t i = 0; i < tokens.size(); ++i) EXPECT_EQ(tokens[i], golden.prompts[i].greedy);
}

INSTANTIATE_TEST_SUITE_P(Files, ConvertedModelTest, ::testing::ValuesIn(ConvertedModels()),
                         [](const auto& file) {
                           std::string name = file.param;
                           std::replace_if(
                               name.begin(), name.end(),
                               [](char c) { return c == '-' || c == '.'; }, '_');
                           return name;
                         });

// Random models in blocks of many formats, which transformers decoded.
class QuantisedModelTest : public ::testing::TestWithParam<std::string> {};

TEST_P(QuantisedModelTest, ComputesWhatTransformersDoes) {
  const auto golden = testing::ReadGoldenDir(GgufDir() / ("quantised-" + GetParam()));
  const auto model = Load(golden.dir / "model.gguf");
  ASSERT_NE(model, nullptr);
  EXPECT_LE(testing::WorstLogitError(*model, golden), kRelativeTolerance);
  const auto tokens = testing::GreedyTokens(*model, golden);
  for (size_t i = 0; i < tokens.size(); ++i) EXPECT_EQ(tokens[i], golden.prompts[i].greedy);
}

INSTANTIATE_TEST_SUITE_P(Mixes, QuantisedModelTest,
                         ::testing::Values("llama-q4_k_m", "llama-q4_0", "qwen2-q8_0",
                                           "llama-small"),
                         [](const auto& mix) {
                           std::string name = mix.param;
                           std::replace(name.begin(), name.end(), '-', '_');
                           return name;
                         });

TEST(GgufModelTest, AllConvertedModelsAreThere) { EXPECT_EQ(ConvertedModels().size(), 9u); }

}  // namespace
}  // namespace dray::engine
