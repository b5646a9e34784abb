// Models with outliers compute the same function as the models they were made of, and their large
// channels are large.
#include "outliers/outliers.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <filesystem>
#include <string>
#include <vector>

#include "base/file.h"
#include "base/testing/source_dir.h"
#include "outliers/log_probabilities.h"
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

// The log-probability of each token of the held-out text's beginning.
std::vector<float> OfHeldOutText(const fs::path& dir, const Formats& formats = {}) {
  const auto tokenizer = tokenizer::Tokenizer::Load(kDemo);
  const std::string text = ReadFile(kDemo / "heldout.txt", 1 << 20).value().substr(0, kTextBytes);
  return LogProbabilities(dir, (*tokenizer)->Encode(text, {}).value(), formats);
}

FloatModel Demo() { return std::move(FloatModel::Read(kDemo).value()); }

// The log-probabilities of the demo model with these outliers.
std::vector<float> WithOutliers(const Outliers& outliers, const Formats& formats = {}) {
  const fs::path dir =
      fs::path(::testing::TempDir()) / ("outliers-" + std::string(Name(outliers.kind)));
  WriteWithOutliers(kDemo, outliers, dir);
  const auto values = OfHeldOutText(dir, formats);
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
  const auto plain = OfHeldOutText(kDemo);
  for (const auto kind :
       {OutlierKind::kNorms, OutlierKind::kFeedForward, OutlierKind::kValues, OutlierKind::kKeys}) {
    for (const float factor : {64.0f, 1024.0f}) {
      EXPECT_EQ(WithOutliers({.kind = kind, .factor = factor}), plain) << Name(kind) << factor;
    }
  }
}

TEST(OutliersTest, RotatedStreamsComputeTheSame) {
  const auto plain = OfHeldOutText(kDemo);
  for (const auto kind : {OutlierKind::kStream, OutlierKind::kAll}) {
    const auto rotated = WithOutliers({.kind = kind});
    ASSERT_EQ(rotated.size(), plain.size());
    for (size_t i = 0; i < plain.size(); ++i) {
      EXPECT_NEAR(rotated[i], plain[i], kRotatedTolerance) << Name(kind) << ", token " << i;
    }
  }
}

// Without balance the differences are 8 (norms) to 40 times (all) those of the plain model.
TEST(OutliersTest, IntegersLoseLittleMoreThanOnThePlainModel) {
  const auto exact = OfHeldOutText(kDemo);
  for (const Formats& formats : {kInt8, kInt4, kInt8Cache}) {
    const double plain = MeanDifference(OfHeldOutText(kDemo, formats), exact);
    for (const OutlierKind kind : AllOutlierKinds()) {
      EXPECT_LT(MeanDifference(WithOutliers({.kind = kind}, formats), exact), 2.5 * plain)
          << Name(kind) << " in " << Name(formats.layers);
    }
  }
}

TEST(OutliersTest, NormsHaveAsManyLargeChannelsAsAsked) {
  FloatModel model = Demo();
  ASSERT_TRUE(AddOutliers(model, {.kind = OutlierKind::kNorms, .channels = 7}).ok());
  for (int64_t l = 0; l < model.stack().num_layers; ++l) {
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
