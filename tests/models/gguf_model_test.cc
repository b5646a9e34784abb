// GGUF files that the `gguf` package wrote (tests/golden/make_gguf_goldens.py) against what
// transformers computes from the same weights.
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <cstring>
#include <filesystem>
#include <fstream>

#include "base/file.h"
#include "base/testing/source_dir.h"
#include "engine/runner/loaded_model.h"
#include "kernels/testing/device_array.h"
#include "testing/golden_model.h"
#include "testing/golden_run.h"

namespace dray::engine {
namespace {

namespace fs = std::filesystem;

// As in golden_model_test.cc: these models' float32 noise is at most 3e-5 of the largest logit.
constexpr double kRelativeTolerance = 1e-4;

constexpr const char* kWhole = ".gguf";
constexpr const char* kFirstOfThree = "-00001-of-00003.gguf";

fs::path GgufDir() { return SourceDir() / "tests/golden/gguf"; }

std::unique_ptr<LoadedModel> Load(const fs::path& path) {
  auto model = LoadModel({.model_dir = path,
                          .format = kernels::WeightFormat::kF32,
                          .backend_options = {.cpu = {.num_threads = 2}}});
  EXPECT_TRUE(model.ok()) << model.status().ToString();
  return model.ok() ? std::move(*model) : nullptr;
}

// Models that are also in tests/golden/models, by name. A model in several files has its first
// file's name.
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

// Random models with blocks of many formats, which transformers decoded.
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

struct KeptForm {
  model::Slot slot;
  int64_t layer;
  kernels::WeightFormat format;
  int64_t group;
  double tolerance;  // relative to the matrix's largest number
};

// Four-bit blocks keep their integers. Only their scales are rounded to f16, which changes a number
// of up to 15 steps by 2^-11 of it, and so are their zero points. int8 rows round by 1/254 of the
// row's largest number.
TEST(GgufModelTest, BlocksAreKeptInTheNearestForm) {
  const fs::path path = GgufDir() / "quantised-llama-q4_k_m" / "model.gguf";
  const auto exact = Load(path);
  auto kept = LoadModel({.model_dir = path, .backend_options = {.cpu = {.num_threads = 2}}});
  ASSERT_TRUE(kept.ok()) << kept.status().ToString();
  EXPECT_EQ((*kept)->format, kernels::WeightFormat::kI4);
  constexpr KeptForm kForms[] = {
      {model::Slot::kTokenEmbedding, model::kNoLayer, kernels::WeightFormat::kI4, 32, 0.002},
      {model::Slot::kHead, model::kNoLayer, kernels::WeightFormat::kI8, 0, 0.005},
      {model::Slot::kQkv, 0, kernels::WeightFormat::kI8, 0, 0.005},  // Q6_K in the file
      {model::Slot::kQkv, 1, kernels::WeightFormat::kI4, 32, 0.002},
      {model::Slot::kFfnIn, 0, kernels::WeightFormat::kI4, 32, 0.002},
      {model::Slot::kFfnOut, 0, kernels::WeightFormat::kI8, 0, 0.005},
  };
  for (const KeptForm& form : kForms) {
    SCOPED_TRACE(Name(form.slot));
    const auto* matrix = (*kept)->ranks[0].weights.Matrix(form.slot, form.layer);
    const auto* original = exact->ranks[0].weights.Matrix(form.slot, form.layer);
    ASSERT_TRUE(matrix != nullptr && original != nullptr);
    EXPECT_EQ(matrix->format(), form.format);
    EXPECT_EQ(matrix->spec().group, form.group);
    const auto numbers = kernels::ReadMatrix(*(*kept)->ranks[0].backend, *matrix);
    const auto wanted = kernels::ReadMatrix(*exact->ranks[0].backend, *original);
    double worst = 0, largest = 0;
    for (size_t i = 0; i < wanted.size(); ++i) {
      worst = std::max(worst, std::abs(double{numbers[i]} - wanted[i]));
      largest = std::max(largest, std::abs(double{wanted[i]}));
    }
    EXPECT_LE(worst, form.tolerance * largest);
  }
}

// The symmetric four-bit format loses nothing, since its scales are f16 in the file.
TEST(GgufModelTest, SymmetricFourBitsAreExact) {
  const fs::path path = GgufDir() / "quantised-llama-q4_0" / "model.gguf";
  const auto exact = Load(path);
  auto kept = LoadModel({.model_dir = path,
                         .format = kernels::WeightFormat::kI4,
                         .backend_options = {.cpu = {.num_threads = 2}}});
  ASSERT_TRUE(kept.ok()) << kept.status().ToString();
  const auto* matrix = (*kept)->ranks[0].weights.Matrix(model::Slot::kQkv, 1);
  const auto* original = exact->ranks[0].weights.Matrix(model::Slot::kQkv, 1);
  EXPECT_EQ(kernels::ReadMatrix(*(*kept)->ranks[0].backend, *matrix),
            kernels::ReadMatrix(*exact->ranks[0].backend, *original));
}

template <typename T>
std::string Bytes(T value) {
  return {reinterpret_cast<const char*>(&value), sizeof(value)};
}

// A copy of a file with one more number in its metadata, and with a text that keeps the offset of
// the rest a multiple of 32.
fs::path WithNumber(const fs::path& from, const std::string& key, float value) {
  std::string file = ReadFile(from, 1 << 24).value();
  const auto with_length = [](const std::string& text) {
    return Bytes(uint64_t{text.size()}) + text;
  };
  constexpr uint32_t kF32 = 6, kString = 8;
  const std::string number = with_length(key) + Bytes(kF32) + Bytes(value);
  std::string text = with_length("general.note") + Bytes(kString) + with_length("");
  const size_t padding = (64 - (number.size() + text.size()) % 32) % 32;
  text = with_length("general.note") + Bytes(kString) + with_length(std::string(padding, '-'));
  constexpr size_t kCountAt = 16, kFirstKeyAt = 24;
  uint64_t count = 0;
  std::memcpy(&count, file.data() + kCountAt, sizeof(count));
  file.replace(kCountAt, sizeof(count), Bytes(count + 2));
  file.insert(kFirstKeyAt, number + text);
  const fs::path path = fs::path(::testing::TempDir()) / "with-number.gguf";
  std::ofstream(path, std::ios::binary) << file;
  return path;
}

TEST(GgufModelTest, YarnsAttentionFactorReplacesTheOneOfItsStretch) {
  const fs::path plain = GgufDir() / "llama-rope-yarn.gguf";
  constexpr const char* kKey = "llama.rope.scaling.yarn_attn_factor";
  const double of_stretch = Load(plain)->description.config.stack.rope.attention_factor;
  EXPECT_NEAR(of_stretch, 0.1 * std::log(8.0) + 1, 1e-6);
  const auto stated = Load(WithNumber(plain, kKey, 1.5f));
  ASSERT_NE(stated, nullptr);
  EXPECT_EQ(stated->description.config.stack.rope.attention_factor, 1.5);
  const auto neutral = Load(WithNumber(plain, kKey, 1.0f));
  ASSERT_NE(neutral, nullptr);
  EXPECT_EQ(neutral->description.config.stack.rope.attention_factor, of_stretch);
}

TEST(GgufModelTest, ItsShapeCanBeFilledWithRandomNumbers) {
  const fs::path path = GgufDir() / "quantised-llama-q4_k_m" / "model.gguf";
  const auto model = LoadModel({.model_dir = path,
                                .format = kernels::WeightFormat::kBF16,
                                .backend_options = {.cpu = {.num_threads = 2}},
                                .load_format = LoadFormat::kDummy});
  ASSERT_TRUE(model.ok()) << model.status().ToString();
  const auto exact = Load(path);
  EXPECT_EQ((*model)->ranks[0].weights.num_parameters(), exact->ranks[0].weights.num_parameters());
}

TEST(GgufModelTest, AllConvertedModelsAreThere) { EXPECT_EQ(ConvertedModels().size(), 9u); }

}  // namespace
}  // namespace dray::engine
