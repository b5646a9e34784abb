// Models with outliers compute the same function as the models they were made of, and their large
// channels are large.
#include "outliers/outliers.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <filesystem>
#include <memory>
#include <string>
#include <vector>

#include "base/file.h"
#include "base/testing/source_dir.h"
#include "engine/engine_core.h"
#include "testing/engine_support.h"
#include "tokenizer/tokenizer.h"

namespace dray::testing {
namespace {

namespace fs = std::filesystem;

const fs::path kDemo = SourceDir() / "models/demo";
// Characters of the held-out text that are read: some 150 tokens.
constexpr size_t kTextBytes = 600;
// In nats for a token. An orthogonal transform rounds every weight and every sum of the stream
// anew; f32 noise of the demo model's logits is below 2e-4.
constexpr double kRotatedTolerance = 1e-3;

// How a model is stored; f32 if nothing is said.
struct Formats {
  kernels::WeightForm layers = kernels::WeightFormat::kF32;
  kernels::WeightForm tables = kernels::WeightFormat::kF32;
  DType cache = DType::kF32;
};

// The log-probability of each token of the held-out text's beginning.
std::vector<float> LogProbabilities(const fs::path& dir, const Formats& formats = {}) {
  auto model = engine::LoadModel({.model_dir = dir,
                                  .format = formats.layers,
                                  .table_format = formats.tables,
                                  .int8_cache = formats.cache == DType::kI8,
                                  .backend_options = {.cpu = {.num_threads = 1}}});
  EXPECT_TRUE(model.ok()) << model.status().ToString();
  if (!model.ok()) return {};
  auto core = engine::EngineCore::Make(**model, {.max_sequences = 1, .kv_dtype = formats.cache});
  EXPECT_TRUE(core.ok()) << core.status().ToString();
  const auto tokenizer = tokenizer::Tokenizer::Load(kDemo);
  const std::string text = ReadFile(kDemo / "heldout.txt", 1 << 20).value().substr(0, kTextBytes);
  auto request = engine::MakeRequest((*tokenizer)->Encode(text, {}).value(), 1);
  request.params.prompt_logprobs = 0;
  const auto sink = std::make_shared<engine::RecordingSink>();
  (*core)->Add(RequestId(1), std::move(request), sink);
  while ((*core)->Step()) {
  }
  EXPECT_TRUE(sink->status().ok()) << sink->status().ToString();
  std::vector<float> all;
  for (const engine::PromptEvent& event : sink->Prompts()) {
    all.insert(all.end(), event.logprobs.begin(), event.logprobs.end());
  }
  EXPECT_GT(all.size(), 100u);
  return all;
}

FloatModel Demo() { return std::move(FloatModel::Read(kDemo).value()); }

// The log-probabilities of the demo model with these outliers, written to a folder and loaded.
std::vector<float> WithOutliers(const Outliers& outliers, const Formats& formats = {}) {
  const fs::path dir =
      fs::path(::testing::TempDir()) / ("outliers-" + std::string(Name(outliers.kind)));
  FloatModel model = Demo();
  Status status = AddOutliers(model, outliers);
  EXPECT_TRUE(status.ok()) << status.ToString();
  status = model.Write(dir);
  EXPECT_TRUE(status.ok()) << status.ToString();
  const auto values = LogProbabilities(dir, formats);
  fs::remove_all(dir);
  return values;
}

// Of the root mean squares of the table's columns, the largest one over the middle one.
double PeakOfColumns(FloatTensor& table) {
  std::vector<double> squares(static_cast<size_t>(table.cols()), 0.0);
  for (int64_t r = 0; r < table.rows(); ++r) {
    for (int64_t c = 0; c < table.cols(); ++c) {
      const auto x = static_cast<double>(table.Row(r)[c]);
      squares[static_cast<size_t>(c)] += x * x;
    }
  }
  std::sort(squares.begin(), squares.end());
  return std::sqrt(squares.back() / squares[squares.size() / 2]);
}

int64_t CountLarge(const FloatTensor& norm, float limit) {
  return std::count_if(norm.values.begin(), norm.values.end(),
                       [&](float x) { return std::abs(x) > limit; });
}

TEST(OutliersTest, ScaledChannelsChangeNoBit) {
  const auto plain = LogProbabilities(kDemo);
  for (const auto kind :
       {OutlierKind::kNorms, OutlierKind::kFeedForward, OutlierKind::kValues, OutlierKind::kKeys}) {
    for (const float factor : {64.0f, 1024.0f}) {
      EXPECT_EQ(WithOutliers({.kind = kind, .factor = factor}), plain) << Name(kind) << factor;
    }
  }
}

TEST(OutliersTest, RotatedStreamsComputeTheSame) {
  const auto plain = LogProbabilities(kDemo);
  for (const auto kind : {OutlierKind::kStream, OutlierKind::kAll}) {
    const auto rotated = WithOutliers({.kind = kind});
    ASSERT_EQ(rotated.size(), plain.size());
    for (size_t i = 0; i < plain.size(); ++i) {
      EXPECT_NEAR(rotated[i], plain[i], kRotatedTolerance) << Name(kind) << ", token " << i;
    }
  }
}

// The mean of the tokens' differences.
double MeanDifference(const std::vector<float>& a, const std::vector<float>& b) {
  EXPECT_EQ(a.size(), b.size());
  double sum = 0;
  for (size_t i = 0; i < a.size(); ++i) sum += std::abs(double{a[i]} - double{b[i]});
  return sum / static_cast<double>(a.size());
}

// Without balance the differences are 8 (norms) to 40 times (all) those of the plain model.
TEST(OutliersTest, IntegersLoseLittleMoreThanOnThePlainModel) {
  const auto exact = LogProbabilities(kDemo);
  const Formats int8 = {.layers = kernels::WeightFormat::kI8, .tables = kernels::WeightFormat::kI8};
  const Formats int4 = {.layers = kernels::WeightFormat::kI4, .tables = kernels::WeightFormat::kI8};
  for (const Formats& formats : {int8, int4, Formats{.cache = DType::kI8}}) {
    const double plain = MeanDifference(LogProbabilities(kDemo, formats), exact);
    for (const OutlierKind kind : AllOutlierKinds()) {
      EXPECT_LT(MeanDifference(WithOutliers({.kind = kind}, formats), exact), 2.5 * plain)
          << Name(kind) << " in " << Name(formats.layers);
    }
  }
}

TEST(OutliersTest, NormsHaveAsManyLargeChannelsAsAsked) {
  FloatModel model = Demo();
  ASSERT_TRUE(AddOutliers(model, {.kind = OutlierKind::kNorms, .channels = 7}).ok());
  for (int64_t l = 0; l < model.num_layers(); ++l) {
    EXPECT_EQ(CountLarge(model.LayerWeight(l, "input_layernorm"), 16), 7);
    EXPECT_EQ(CountLarge(model.LayerWeight(l, "post_attention_layernorm"), 16), 7);
  }
  EXPECT_FALSE(model.has_head());
  EXPECT_EQ(CountLarge(model.Weight("model.norm"), 16), 0) << "the head is tied";
}

TEST(OutliersTest, AllKindsScaleTheFinalNormToo) {
  FloatModel model = Demo();
  ASSERT_TRUE(AddOutliers(model, {.kind = OutlierKind::kAll}).ok());
  EXPECT_TRUE(model.has_head());
  EXPECT_EQ(CountLarge(model.Weight("model.norm"), 16), 4);
}

TEST(OutliersTest, ARotatedStreamHasLargeChannels) {
  FloatModel model = Demo();
  const double before = PeakOfColumns(model.Weight("model.embed_tokens"));
  ASSERT_TRUE(AddOutliers(model, {.kind = OutlierKind::kStream}).ok());
  EXPECT_GT(PeakOfColumns(model.Weight("model.embed_tokens")), 3 * before);
}

TEST(OutliersTest, SeedsDrawOtherChannels) {
  FloatModel first = Demo(), second = Demo(), third = Demo();
  ASSERT_TRUE(AddOutliers(first, {.seed = 1}).ok());
  ASSERT_TRUE(AddOutliers(second, {.seed = 2}).ok());
  ASSERT_TRUE(AddOutliers(third, {.seed = 1}).ok());
  const auto norm = [](FloatModel& model) {
    return model.LayerWeight(0, "input_layernorm").values;
  };
  EXPECT_NE(norm(first), norm(second));
  EXPECT_EQ(norm(first), norm(third));
}

TEST(OutliersTest, WrongSettingsAreRefusedByName) {
  FloatModel model = Demo();
  EXPECT_EQ(AddOutliers(model, {.factor = 0}).message(), "the factor is 0: it must be above zero");
  EXPECT_EQ(AddOutliers(model, {.channels = 33}).message(),
            "there are to be 33 large channels: it must be 1 to 32");
  EXPECT_EQ(ParseOutlierKind("none").status().message(),
            "no outliers are called \"none\": use norms, ffn, values, keys, stream or all");
  for (const OutlierKind kind : AllOutlierKinds()) EXPECT_EQ(*ParseOutlierKind(Name(kind)), kind);
}

TEST(OutliersTest, OtherFamiliesAreRefused) {
  const auto model = FloatModel::Read(SourceDir() / "tests/golden/models/gpt2");
  ASSERT_FALSE(model.ok());
  EXPECT_NE(model.status().message().find("its model_type is gpt2"), std::string::npos)
      << model.status().ToString();
}

}  // namespace
}  // namespace dray::testing
