// Balanced weights on whole models: in floats a balanced model computes the same bits, the factors are
// where they may be, and matrices that could not be balanced are named.
#include "model/weights/balance/balance.h"

#include <gtest/gtest.h>
#include <unistd.h>

#include <algorithm>
#include <cmath>
#include <filesystem>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "base/testing/source_dir.h"
#include "engine/runner/loaded_model.h"
#include "engine/testing/sequence_scorer.h"
#include "kernels/make_backend.h"
#include "kernels/testing/device_array.h"
#include "model/describe/model_files.h"
#include "model/weights/balance/channel_sizes.h"
#include "model/weights/loader.h"
#include "outliers/outliers.h"
#include "testing/golden_model.h"

namespace dray::model {
namespace {

namespace fs = std::filesystem;
using kernels::WeightFormat;

kernels::Backend& TestBackend() {
  static const auto backend = kernels::MakeBackend({.cpu = {.num_threads = 2}}).value();
  return *backend;
}

// Peaks that are far apart, so that every factor that may be is far from one.
Calibration UnevenCalibration(const ModelConfig& config) {
  Calibration calibration(config);
  for (int64_t layer = 0; layer < config.stack.num_layers; ++layer) {
    for (const Slot slot : kCalibratedSlots) {
      int step = static_cast<int>(layer);
      for (float& peak : calibration.Peaks(slot, layer)) peak = std::exp2(float(step++ * 7 % 13));
    }
  }
  return calibration;
}

// The files of a folder or a GGUF model, with the factors that its weights get.
class BalancedModel {
 public:
  explicit BalancedModel(const fs::path& path, const BalanceOptions& options = kInt8)
      : files_(OpenModelFiles(path).value()),
        plan_(PlanTensors(files_.description, files_.checkpoint).value()),
        calibration_(config()),
        balance_(Balance::Make(files_.description, plan_, options).value()) {}
  // Balanced by calibrations in which the channels of every input are far apart.
  struct Uneven {};
  BalancedModel(const fs::path& path, Uneven)
      : files_(OpenModelFiles(path).value()),
        plan_(PlanTensors(files_.description, files_.checkpoint).value()),
        calibration_(UnevenCalibration(config())),
        balance_(Balance::Make(files_.description, plan_,
                               {.layers = WeightFormat::kI8, .calibration = &calibration_})
                     .value()) {}

  static BalancedModel OfVariant(const std::string& name, const BalanceOptions& options = kInt8) {
    return BalancedModel(testing::ReadGoldenModel(name).dir, options);
  }

  static BalancedModel OfUneven(const std::string& name) {
    return BalancedModel(testing::ReadGoldenModel(name).dir, Uneven());
  }

  const ModelConfig& config() const { return files_.description.config; }
  const StackConfig& stack() const { return config().stack; }
  const LoadPlan& plan() const { return plan_; }
  const SlotFactors& Of(Slot slot, int64_t layer = 0) {
    return balance_->Of(slot, layer, TestBackend().packer());
  }
  // After all layers are balanced.
  std::optional<std::string> Warning() {
    for (int64_t layer = 0; layer < stack().num_layers; ++layer) Of(Slot::kQkv, layer);
    Of(Slot::kFinalNormWeight, kNoLayer);
    return balance_->Warning();
  }
  Weights Load() const {
    return LoadWeights(files_.description, plan_, files_.checkpoint, TestBackend(),
                       {.format = WeightFormat::kF32})
        .value();
  }

  static inline const BalanceOptions kInt8 = {.layers = WeightFormat::kI8,
                                              .tables = WeightFormat::kI8};

 private:
  ModelFiles files_;
  LoadPlan plan_;
  Calibration calibration_;
  std::unique_ptr<Balance> balance_;
};

bool AreInverse(const std::vector<float>& a, const std::vector<float>& b) {
  return !a.empty() && std::ranges::equal(a, b, [](float x, float y) { return x * y == 1.0f; });
}

bool AreOnes(const std::vector<float>& factors) {
  return std::ranges::all_of(factors, [](float factor) { return factor == 1.0f; });
}

std::vector<float> Part(const std::vector<float>& all, int64_t begin, int64_t count) {
  return {all.begin() + begin, all.begin() + begin + count};
}

std::string TestName(const ::testing::TestParamInfo<std::string>& info) {
  std::string name = info.param;
  std::ranges::replace_if(
      name, [](unsigned char c) { return std::isalnum(c) == 0; }, '_');
  return name;
}

class BalancedVariantTest : public ::testing::TestWithParam<std::string> {
 protected:
  std::vector<float> Logits(const engine::LoadModelOptions& options) const {
    auto loaded = engine::LoadModel(options);
    EXPECT_TRUE(loaded.ok()) << loaded.status().ToString();
    auto scorer = engine::SequenceScorer::Make(**loaded, {});
    std::vector<float> all;
    for (const testing::GoldenPrompt& prompt : golden_.prompts) {
      const auto logits = scorer->Logits(prompt.ids, prompt.logit_positions).value();
      all.insert(all.end(), logits.begin(), logits.end());
    }
    return all;
  }

  engine::LoadModelOptions InFloats() const {
    engine::LoadModelOptions options;
    options.model_dir = golden_.dir;
    options.format = WeightFormat::kF32;
    options.backend_options.cpu.num_threads = 2;
    return options;
  }

  testing::GoldenModel golden_ = testing::ReadGoldenModel(GetParam());
};

// Factors are powers of two, so each product of a weight and an input is exactly the same number.
TEST_P(BalancedVariantTest, InFloatsNoBitChanges) {
  const fs::path file =
      fs::path(::testing::TempDir()) / ("balance" + std::to_string(::getpid()) + ".json");
  const auto config = ReadModelDescription(golden_.dir).value().config;
  ASSERT_TRUE(WriteCalibration(UnevenCalibration(config), file).ok());
  engine::LoadModelOptions cached = InFloats(), smoothed = InFloats();
  cached.int8_cache = true;
  smoothed.smoothing = {.calibration_file = file, .alpha = 0.5};
  const auto plain = Logits(InFloats());
  EXPECT_EQ(Logits(cached), plain);
  EXPECT_EQ(Logits(smoothed), plain);
  fs::remove(file);
}

TEST_P(BalancedVariantTest, SizesAreThoseOfThePackedMatrices) {
  const BalancedModel model(golden_.dir);
  const Weights weights = model.Load();
  for (const PlannedSlot& slot : model.plan().slots) {
    if (!IsMatrixSlot(slot.slot)) continue;
    const kernels::WeightMatrix& matrix = *weights.Matrix(slot.slot, slot.layer);
    std::vector<float> sizes;
    for (int64_t c = 0; c < matrix.cols(); ++c) sizes.push_back(0.5f + float(c % 5));
    const SlotSquares squares = MeasureSlot(slot, model.config(), sizes, TestBackend().packer());
    std::vector<double> columns(sizes.size()), rows(static_cast<size_t>(matrix.rows()));
    const std::vector<float> numbers = kernels::ReadMatrix(TestBackend(), matrix);
    for (size_t i = 0; i < numbers.size(); ++i) {
      const double sized = double{numbers[i]} * sizes[i % sizes.size()];
      rows[i / sizes.size()] += sized * sized;
    }
    for (size_t i = 0; i < numbers.size(); ++i) {
      columns[i % sizes.size()] += double{numbers[i]} * numbers[i] / rows[i / sizes.size()];
    }
    ASSERT_EQ(squares.rows.size(), rows.size());
    for (size_t i = 0; i < rows.size(); ++i) EXPECT_NEAR(squares.rows[i], rows[i], 1e-12 * rows[i]);
    for (size_t i = 0; i < columns.size(); ++i) {
      // The quotients are rounded to floats.
      EXPECT_NEAR(squares.columns[i], columns[i], 1e-6 * columns[i]) << Name(slot.slot);
    }
  }
}

INSTANTIATE_TEST_SUITE_P(Families, BalancedVariantTest,
                         ::testing::ValuesIn(testing::GoldenVariants()), TestName);

TEST(BalanceTest, LargeRowsCountAsOthersDo) {
  // The factors of a norm behind which a few rows of keys are 64 times as large as before.
  const fs::path dir = fs::path(::testing::TempDir()) / "balance-large-rows";
  const fs::path source = testing::ReadGoldenModel("llama-gqa").dir;
  auto model = std::move(testing::FloatModel::Read(source).value());
  ASSERT_TRUE(testing::AddOutliers(model, {.kind = testing::OutlierKind::kKeys}).ok());
  ASSERT_TRUE(model.Write(dir).ok());
  EXPECT_EQ(BalancedModel(dir).Of(Slot::kQkv).columns,
            BalancedModel(source).Of(Slot::kQkv).columns);
  fs::remove_all(dir);
}

TEST(BalanceTest, NormsAndTheMatricesBehindThem) {
  auto llama = BalancedModel::OfVariant("llama-gqa");
  EXPECT_FALSE(AreOnes(llama.Of(Slot::kQkv).columns));
  EXPECT_TRUE(AreInverse(llama.Of(Slot::kQkv).columns, llama.Of(Slot::kAttentionNormWeight).rows));
  EXPECT_TRUE(AreInverse(llama.Of(Slot::kFfnIn).columns, llama.Of(Slot::kFfnNormWeight).rows));
  auto gptj = BalancedModel::OfVariant("gptj");  // one norm before both
  EXPECT_EQ(gptj.Of(Slot::kFfnIn).columns, gptj.Of(Slot::kQkv).columns);
  EXPECT_TRUE(AreInverse(gptj.Of(Slot::kQkv).columns, gptj.Of(Slot::kAttentionNormBias).rows));
  auto neox = BalancedModel::OfVariant("gpt_neox");  // a norm for each of two parallel branches
  EXPECT_TRUE(AreInverse(neox.Of(Slot::kFfnIn).columns, neox.Of(Slot::kFfnNormBias).rows));
}

TEST(BalanceTest, NormsThatAreMoreThanInputsStayAsTheyAre) {
  for (const std::string variant : {"opt-350m", "bloom-post-layernorm"}) {
    auto model = BalancedModel::OfUneven(variant);
    EXPECT_TRUE(model.Of(Slot::kQkv).columns.empty()) << variant;
    EXPECT_TRUE(model.Of(Slot::kAttentionNormWeight).rows.empty()) << variant;
    EXPECT_FALSE(AreOnes(model.Of(Slot::kAttentionOut).columns)) << variant;
  }
}

TEST(BalanceTest, QueryHeadsShareTheFactorsOfTheirValueHead) {
  auto model = BalancedModel::OfUneven("llama-gqa");
  const StackConfig& stack = model.stack();
  const int64_t group = stack.num_heads / stack.num_kv_heads;
  ASSERT_GT(group, 1);
  const auto values =
      Part(model.Of(Slot::kQkv).rows, stack.query_width() + stack.kv_width(), stack.kv_width());
  EXPECT_FALSE(AreOnes(values));
  for (int64_t head = 0; head < stack.num_heads; ++head) {
    EXPECT_TRUE(AreInverse(
        Part(model.Of(Slot::kAttentionOut).columns, head * stack.head_dim, stack.head_dim),
        Part(values, head / group * stack.head_dim, stack.head_dim)));
  }
}

TEST(BalanceTest, BiasesAreDividedWithTheirRows) {
  for (const std::string variant : {"bloom", "gpt2", "llama-bias", "opt", "qwen2"}) {
    auto model = BalancedModel::OfVariant(variant);
    EXPECT_EQ(model.Of(Slot::kQkvBias).rows, model.Of(Slot::kQkv).rows) << variant;
    EXPECT_EQ(model.Of(Slot::kFfnInBias).rows, model.Of(Slot::kFfnIn).rows) << variant;
  }
}

TEST(BalanceTest, FeedForwardsThatAreLinearInAFactor) {
  auto llama = BalancedModel::OfUneven("llama");
  const int64_t ffn = llama.stack().ffn;
  EXPECT_TRUE(AreOnes(Part(llama.Of(Slot::kFfnIn).rows, 0, ffn))) << "gates";
  EXPECT_TRUE(
      AreInverse(Part(llama.Of(Slot::kFfnIn).rows, ffn, ffn), llama.Of(Slot::kFfnOut).columns));
  auto opt = BalancedModel::OfUneven("opt");  // ReLU
  EXPECT_FALSE(AreOnes(opt.Of(Slot::kFfnOut).columns));
  EXPECT_TRUE(AreInverse(opt.Of(Slot::kFfnIn).rows, opt.Of(Slot::kFfnOut).columns));
  for (const std::string variant : {"gpt2", "bloom", "gpt_neox", "gptj"}) {  // GELU
    auto model = BalancedModel::OfVariant(variant);
    EXPECT_TRUE(model.Of(Slot::kFfnIn).rows.empty()) << variant;
    EXPECT_TRUE(model.Of(Slot::kFfnOut).columns.empty()) << variant;
  }
}

// [dimension]: the one that is rotated with it.
int64_t Partner(const StackConfig& stack, int64_t dimension) {
  const int64_t half = stack.rope.dim / 2;
  if (stack.position != PositionKind::kRotary || dimension >= stack.rope.dim) return dimension;
  if (stack.rope.style == RopeStyle::kInterleaved)
    return dimension % 2 == 0 ? dimension + 1 : dimension - 1;
  return dimension < half ? dimension + half : dimension - half;
}

TEST(BalanceTest, DimensionsThatAreRotatedTogetherHaveOneFactor) {
  for (const std::string variant : {"llama-gqa", "gptj", "gpt_neox", "gpt2", "bloom", "opt"}) {
    auto model = BalancedModel::OfVariant(variant);
    const StackConfig& stack = model.stack();
    const std::vector<float>& rows = model.Of(Slot::kQkv).rows;
    const int64_t group = stack.num_heads / stack.num_kv_heads;
    for (int64_t head = 0; head < stack.num_heads; ++head) {
      const auto queries = Part(rows, head * stack.head_dim, stack.head_dim);
      const auto keys =
          Part(rows, stack.query_width() + head / group * stack.head_dim, stack.head_dim);
      EXPECT_TRUE(AreInverse(queries, keys)) << variant;
      for (int64_t i = 0; i < stack.head_dim; ++i) {
        EXPECT_EQ(queries[static_cast<size_t>(i)], queries[static_cast<size_t>(Partner(stack, i))])
            << variant << " " << i;
      }
    }
  }
}

TEST(BalanceTest, NormsOfHeadsAreBalancedInPlaceOfTheirRows) {
  auto model = BalancedModel::OfVariant("qwen3");
  const StackConfig& stack = model.stack();
  EXPECT_TRUE(AreOnes(Part(model.Of(Slot::kQkv).rows, 0, stack.query_width() + stack.kv_width())));
  EXPECT_TRUE(AreInverse(model.Of(Slot::kQueryNorm).rows, model.Of(Slot::kKeyNorm).rows));
}

TEST(BalanceTest, TheFinalNormIfTheHeadIsNoTable) {
  auto untied = BalancedModel::OfVariant("llama"), tied = BalancedModel::OfVariant("gpt2");
  ASSERT_FALSE(untied.config().tied_head);
  ASSERT_TRUE(tied.config().tied_head);
  EXPECT_TRUE(AreInverse(untied.Of(Slot::kHead, kNoLayer).columns,
                         untied.Of(Slot::kFinalNormWeight, kNoLayer).rows));
  EXPECT_TRUE(tied.Of(Slot::kFinalNormWeight, kNoLayer).rows.empty());
  EXPECT_TRUE(tied.Of(Slot::kTokenEmbedding, kNoLayer).columns.empty());
}

TEST(BalanceTest, FloatsBesideAnInt8CacheHaveOnlyTheirHeadsBalanced) {
  auto model = BalancedModel::OfVariant("llama-gqa", {.int8_cache = true});
  EXPECT_FALSE(model.Of(Slot::kQkv).rows.empty());
  EXPECT_FALSE(model.Of(Slot::kAttentionOut).columns.empty());
  EXPECT_TRUE(model.Of(Slot::kQkv).columns.empty());
  EXPECT_TRUE(model.Of(Slot::kFfnOut).columns.empty());
}

TEST(BalanceTest, StoredIntegersKeepTheirValues) {
  for (const std::string name : {"quantized/gptq-g32", "gguf/quantised-llama-q4_0/model.gguf"}) {
    BalancedModel model(SourceDir() / "tests/golden" / name,
                        {.layers = WeightFormat::kI8, .int8_cache = true});
    for (int i = static_cast<int>(kFirstLayerSlot); i < kNumSlots; ++i) {
      const SlotFactors& factors = model.Of(static_cast<Slot>(i));
      EXPECT_TRUE(AreOnes(factors.rows) && AreOnes(factors.columns)) << name << " " << i;
    }
  }
}

TEST(BalanceTest, UnevenInputsThatCannotBeBalancedAreNamed) {
  EXPECT_EQ(BalancedModel::OfVariant("llama").Warning(), std::nullopt);
  EXPECT_EQ(BalancedModel::OfVariant("gpt2").Warning(), std::nullopt);
  Calibration calibration(
      ReadModelDescription(testing::ReadGoldenModel("gpt2").dir).value().config);
  for (float& peak : calibration.Peaks(Slot::kFfnOut, 1)) peak = 1.0f;
  for (float& peak : calibration.Peaks(Slot::kQkv, 1)) peak = 1.0f;
  for (const size_t channel : {3, 5}) {
    calibration.Peaks(Slot::kFfnOut, 1)[channel] = 100.0f;  // behind GELU
    calibration.Peaks(Slot::kQkv, 1)[channel] = 100.0f;     // behind a norm
  }
  const auto warning =
      BalancedModel::OfVariant("gpt2", {.layers = WeightFormat::kI4, .calibration = &calibration})
          .Warning();
  ASSERT_TRUE(warning.has_value());
  EXPECT_TRUE(warning->starts_with("1 of the matrices")) << *warning;
  EXPECT_NE(warning->find("layer 1 ffn_out (channels 3, 5: 100 times)"), std::string::npos)
      << *warning;
}

}  // namespace
}  // namespace dray::model
