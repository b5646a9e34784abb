// load_format=dummy: a model made from config.json alone runs, gives the same results every time,
// and stays finite through all layers, for every family and format.
#include <gtest/gtest.h>

#include <cmath>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <memory>
#include <string>
#include <vector>

#include "engine/engine_core.h"
#include "kernels/testing/device_array.h"
#include "model/weights/dummy_weights.h"
#include "testing/engine_support.h"
#include "testing/golden_model.h"

namespace dray::engine {
namespace {

namespace fs = std::filesystem;
using kernels::WeightFormat;

constexpr WeightFormat kFormats[] = {WeightFormat::kF32, WeightFormat::kF16, WeightFormat::kBF16,
                                     WeightFormat::kI8, WeightFormat::kI4};

// A folder with only the config.json of a golden model.
class ConfigFolder {
 public:
  explicit ConfigFolder(const std::string& variant)
      : dir_(fs::path(::testing::TempDir()) / variant) {
    fs::remove_all(dir_);
    fs::create_directories(dir_);
    fs::copy_file(testing::ReadGoldenModel(variant).dir / "config.json", dir_ / "config.json");
  }
  ~ConfigFolder() { fs::remove_all(dir_); }
  ConfigFolder(const ConfigFolder&) = delete;
  ConfigFolder& operator=(const ConfigFolder&) = delete;

  std::unique_ptr<LoadedModel> Load(WeightFormat format, int num_threads = 1) const {
    auto model = LoadModel({.model_dir = dir_,
                            .format = format,
                            .backend_options = {.cpu = {.num_threads = num_threads}},
                            .load_format = LoadFormat::kDummy});
    EXPECT_TRUE(model.ok()) << model.status().ToString();
    return model.ok() ? std::move(*model) : nullptr;
  }

 private:
  fs::path dir_;
};

// The log-probabilities of a prompt's tokens and of the tokens generated after it.
std::vector<float> LogProbs(LoadedModel& model) {
  auto core = EngineCore::Make(model, {.max_sequences = 1, .max_context_tokens = 32});
  EXPECT_TRUE(core.ok()) << core.status().ToString();
  const auto sink = std::make_shared<RecordingSink>();
  GenerateRequest request = MakeRequest({1, 2, 3, 4, 5, 6, 7, 8}, 8);
  request.params.prompt_logprobs = 0;
  request.params.num_logprobs = 1;
  (*core)->Add(RequestId(1), std::move(request), sink);
  while ((*core)->Step()) {
  }
  EXPECT_TRUE(sink->status().ok()) << sink->status().ToString();
  std::vector<float> values = sink->Prompts().at(0).logprobs;
  for (const TokenEvent& token : sink->Tokens()) values.push_back(token.token.logprob);
  return values;
}

TEST(DummyModelTest, EveryFamilyRunsInEveryFormatAndStaysFinite) {
  for (const std::string& variant : testing::GoldenVariants()) {
    const ConfigFolder folder(variant);
    for (const WeightFormat format : kFormats) {
      const auto model = folder.Load(format);
      ASSERT_NE(model, nullptr) << variant;
      EXPECT_EQ(model->format, format);
      const std::vector<float> values = LogProbs(*model);
      ASSERT_EQ(values.size(), 15u) << variant;  // 7 of the prompt, 8 generated
      for (const float value : values) {
        EXPECT_TRUE(std::isfinite(value) && value <= 0.0f)
            << variant << " " << Name(format) << ": " << value;
      }
    }
  }
}

TEST(DummyModelTest, TheSameWeightsWhateverTheNumberOfThreads) {
  const ConfigFolder folder("llama-gqa");
  const auto once = folder.Load(WeightFormat::kI8, 1);
  const auto again = folder.Load(WeightFormat::kI8, 3);
  ASSERT_TRUE(once && again);
  for (const model::Slot slot : {model::Slot::kTokenEmbedding, model::Slot::kHead}) {
    const kernels::WeightMatrix* a = once->ranks[0].weights.Matrix(slot);
    const kernels::WeightMatrix* b = again->ranks[0].weights.Matrix(slot);
    ASSERT_EQ(a == nullptr, b == nullptr);
    if (a == nullptr) continue;
    ASSERT_EQ(a->size_bytes(), b->size_bytes());
    EXPECT_EQ(std::memcmp(a->data(), b->data(), a->size_bytes()), 0);
  }
  EXPECT_EQ(LogProbs(*once), LogProbs(*again));
}

// The model has as many numbers as the checkpoint, in as many bytes.
TEST(DummyModelTest, AsLargeAsTheCheckpoint) {
  for (const char* variant : {"llama", "gpt_neox", "opt-350m", "gpt2"}) {
    const ConfigFolder folder(variant);
    const auto dummy = folder.Load(WeightFormat::kF32);
    const auto loaded = LoadGolden(testing::ReadGoldenModel(variant));
    ASSERT_TRUE(dummy && loaded);
    EXPECT_EQ(dummy->ranks[0].weights.num_parameters(), loaded->ranks[0].weights.num_parameters())
        << variant;
    EXPECT_EQ(dummy->ranks[0].weights.size_bytes(), loaded->ranks[0].weights.size_bytes())
        << variant;
  }
}

// The numbers have mean 0 and standard deviation 0.02, as models are initialized. Rows of a matrix
// overlap, so although its sample is large, the bounds are those of some thousand independent
// numbers.
TEST(DummyModelTest, NumbersAreDistributedAsPromised) {
  const ConfigFolder folder("llama");
  const auto model = folder.Load(WeightFormat::kF32);
  ASSERT_NE(model, nullptr);
  const kernels::WeightMatrix& table =
      *model->ranks[0].weights.Matrix(model::Slot::kTokenEmbedding);
  const std::vector<float> values = kernels::ReadMatrix(*model->ranks[0].backend, table);
  double sum = 0;
  double squares = 0;
  for (const float value : values) {
    sum += value;
    squares += double{value} * value;
    ASSERT_LE(std::abs(value), 0.0348f);  // sqrt(3) * 0.02, rounded to bf16
  }
  const auto count = static_cast<double>(values.size());
  EXPECT_NEAR(sum / count, 0.0, 4 * 0.02 / std::sqrt(1000.0));
  EXPECT_NEAR(std::sqrt(squares / count), 0.02, 0.001);
}

}  // namespace
}  // namespace dray::engine
