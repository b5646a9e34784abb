// Models whose layers are divided over ranks, from every kind of checkpoint and in every number
// format, against transformers and against the same model at one rank.
#include <gtest/gtest.h>

#include <algorithm>
#include <cctype>
#include <filesystem>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "base/testing/source_dir.h"
#include "engine/runner/loaded_model.h"
#include "engine/testing/sequence_scorer.h"
#include "testing/golden_model.h"
#include "testing/golden_run.h"

namespace dray::engine {
namespace {

namespace fs = std::filesystem;
using kernels::WeightForm;
using kernels::WeightFormat;
using testing::Distance;
using testing::GoldenModel;

// As in golden_model_test.cc: these models' float32 noise is at most 3e-5 of the largest logit.
constexpr double kRelativeTolerance = 1e-4;

std::unique_ptr<LoadedModel> Load(LoadModelOptions options, int64_t num_ranks,
                                  int64_t num_stages = 1) {
  options.tensor_parallel_degree = num_ranks;
  options.pipeline_parallel_degree = num_stages;
  const int64_t num_threads = std::max<int64_t>(2, num_ranks * num_stages);
  options.backend_options.cpu = {.num_threads = static_cast<int>(num_threads),
                                 .oversubscribe = true};
  auto model = LoadModel(options);
  EXPECT_TRUE(model.ok()) << model.status().ToString();
  return model.ok() ? std::move(*model) : nullptr;
}

std::string TestName(std::string name) {
  std::replace_if(
      name.begin(), name.end(), [](unsigned char c) { return std::isalnum(c) == 0; }, '_');
  return name;
}

// Checkpoints in integers, as the floats that they stand for: no rank rounds anything.
class IntegerCheckpointTest : public ::testing::TestWithParam<const char*> {};

TEST_P(IntegerCheckpointTest, AsFloatsTheLogitsAgree) {
  const fs::path dir = SourceDir() / "tests/golden" / GetParam();
  const GoldenModel golden = testing::ReadGoldenDir(dir);
  const bool is_gguf = fs::exists(dir / "model.gguf");
  for (const int64_t num_ranks : {2, 3}) {
    const auto model = Load(
        {.model_dir = is_gguf ? dir / "model.gguf" : dir, .format = WeightFormat::kF32}, num_ranks);
    ASSERT_NE(model, nullptr);
    EXPECT_LE(testing::WorstLogitError(*model, golden), kRelativeTolerance) << num_ranks;
    if (model->description.config.stack.num_heads == 2) return;
  }
}

INSTANTIATE_TEST_SUITE_P(Kinds, IntegerCheckpointTest,
                         ::testing::Values("quantized/gptq-g32", "quantized/gptq-v2-g64-bias",
                                           "quantized/gptq-desc-act", "quantized/gptq-gpt2",
                                           "quantized/gptq-gpt_neox", "quantized/awq-g32",
                                           "gguf/quantised-llama-q4_k_m",
                                           "gguf/quantised-llama-q4_0",
                                           "gguf/quantised-qwen2-q8_0"),
                         [](const auto& kind) { return TestName(kind.param); });

// The logits of a whole sequence at all of its positions.
std::vector<float> AllLogits(LoadedModel& model, const std::vector<int32_t>& tokens) {
  std::vector<int32_t> positions;
  for (size_t i = 0; i < tokens.size(); ++i) positions.push_back(static_cast<int32_t>(i));
  auto scorer = SequenceScorer::Make(model, {});
  EXPECT_TRUE(scorer.ok()) << scorer.status().ToString();
  return scorer->Logits(tokens, positions).value();
}

struct Rounding {
  const char* name;
  const char* path;  // under tests/golden
  std::optional<WeightForm> form;
};

// Products in integers round the inputs of a matrix, with a step of its own for each row or group of
// columns. A rank that has a part of the columns has a step for its part, which is not larger than
// that of the whole row. The integers of the weights are the same at every number of ranks. So ranks
// round at most as much as one rank does, but differently: the distance
// between a model at one rank and at several is that of two independent roundings, at most the
// square root of two times the distance between the model at one rank and the model in floats. The
// limit is twice that distance.
class RoundedModelTest : public ::testing::TestWithParam<Rounding> {};

TEST_P(RoundedModelTest, RanksRoundAsMuchAsOneRank) {
  const fs::path path = SourceDir() / "tests/golden" / GetParam().path;
  const auto tokens = testing::ReadGoldenModel("llama").prompts.back().ids;
  const LoadModelOptions rounded = {.model_dir = path, .format = GetParam().form};
  const auto exact = AllLogits(*Load({.model_dir = path, .format = WeightFormat::kF32}, 1), tokens);
  const auto one = AllLogits(*Load(rounded, 1), tokens);
  const double limit = 2 * Distance(one, exact);
  EXPECT_GT(limit, 0);
  for (const int64_t num_ranks : {2, 3}) {
    const auto several = AllLogits(*Load(rounded, num_ranks), tokens);
    EXPECT_LE(Distance(several, one), limit) << num_ranks;
    EXPECT_LE(Distance(several, exact), limit) << num_ranks;
  }
  EXPECT_EQ(AllLogits(*Load(rounded, 1, 2), tokens), one) << "stages change no sum";
}

INSTANTIATE_TEST_SUITE_P(
    Formats, RoundedModelTest,
    ::testing::Values(Rounding{"bf16", "models/llama-gqa", WeightFormat::kBF16},
                      Rounding{"f16", "models/opt", WeightFormat::kF16},
                      Rounding{"int8", "models/llama-gqa", WeightFormat::kI8},
                      Rounding{"int8_gptj", "models/gptj", WeightFormat::kI8},
                      Rounding{"int8_groups", "models/gpt_neox", WeightForm{WeightFormat::kI8, 32}},
                      Rounding{"int4", "models/bloom-6-heads", WeightFormat::kI4},
                      Rounding{"int4_zeros", "models/gpt2",
                               WeightForm{WeightFormat::kI4, 32, kernels::ZeroPoint::kPerGroup}},
                      Rounding{"gptq", "quantized/gptq-g32", std::nullopt},
                      Rounding{"gptq_act_order", "quantized/gptq-desc-act", std::nullopt},
                      Rounding{"awq", "quantized/awq-g64", std::nullopt},
                      Rounding{"gguf", "gguf/quantised-llama-q4_k_m/model.gguf", std::nullopt}),
    [](const auto& rounding) { return std::string(rounding.param.name); });

// The ranks of a dummy model have parts of the same random weights.
TEST(DividedDummyModelTest, HasTheSameWeights) {
  const auto tokens = testing::ReadGoldenModel("llama").prompts.back().ids;
  const LoadModelOptions options = {.model_dir = testing::ReadGoldenModel("llama-gqa").dir,
                                    .format = WeightFormat::kF32,
                                    .load_format = LoadFormat::kDummy};
  const auto one = Load(options, 1);
  const auto expected = AllLogits(*one, tokens);
  for (const int64_t num_ranks : {2, 3, 6}) {
    const auto several = Load(options, num_ranks);
    EXPECT_LE(Distance(AllLogits(*several, tokens), expected), kRelativeTolerance) << num_ranks;
    EXPECT_EQ(several->description.num_parameters(), one->ranks[0].weights.num_parameters());
    EXPECT_GT(several->weight_bytes(), one->weight_bytes());
  }
  EXPECT_EQ(AllLogits(*Load(options, 1, 2), tokens), expected) << "stages change no sum";
}

}  // namespace
}  // namespace dray::engine
