// Outliers in families other than LLaMA, which have layer norms, biases, joined query, key and value
// rows, heads that are rotated in part or not at all, and one norm for two readers. The models are
// small and random, so integers are compared with integers of the model without outliers.
#include <gtest/gtest.h>

#include <filesystem>
#include <string>
#include <vector>

#include "base/testing/source_dir.h"
#include "outliers/log_probabilities.h"
#include "outliers/outliers.h"

namespace dray::testing {
namespace {

namespace fs = std::filesystem;

// In nats for a token.
constexpr double kRotatedTolerance = 1e-4;

struct Family {
  std::string model;  // a folder of tests/golden/models
  // Kinds that no rewriting adds to this family.
  std::vector<OutlierKind> missing;
};

class OutlierFamiliesTest : public ::testing::TestWithParam<Family> {
 protected:
  static fs::path Source() { return SourceDir() / "tests/golden/models" / GetParam().model; }

  // Every vocabulary has 256 tokens and more.
  static std::vector<int32_t> Tokens() {
    std::vector<int32_t> tokens;
    for (int32_t i = 0; i < 120; ++i) tokens.push_back(i * 7919 % 256);
    return tokens;
  }

  static std::vector<float> Plain(const Formats& formats = {}) {
    return LogProbabilities(Source(), Tokens(), formats);
  }

  static std::vector<float> WithOutliers(const Outliers& outliers, const Formats& formats = {}) {
    const fs::path dir = fs::path(::testing::TempDir()) / ("outliers-" + GetParam().model);
    WriteWithOutliers(Source(), outliers, dir);
    const auto values = LogProbabilities(dir, Tokens(), formats);
    fs::remove_all(dir);
    return values;
  }

  static std::vector<OutlierKind> Kinds() {
    const auto model = FloatModel::Read(Source());
    EXPECT_TRUE(model.ok()) << model.status().ToString();
    std::vector<OutlierKind> kinds;
    for (const OutlierKind kind : AllOutlierKinds()) {
      if (model.ok() && HasOutliers(*model, kind)) kinds.push_back(kind);
    }
    return kinds;
  }
};

TEST_P(OutlierFamiliesTest, KindsThatCannotBeMadeAreRefusedByName) {
  auto model = FloatModel::Read(SourceDir() / "tests/golden/models" / GetParam().model);
  ASSERT_TRUE(model.ok()) << model.status().ToString();
  for (const OutlierKind kind : GetParam().missing) {
    EXPECT_FALSE(HasOutliers(*model, kind)) << Name(kind);
    const Status status = AddOutliers(*model, {.kind = kind});
    EXPECT_EQ(status.code(), StatusCode::kInvalidArgument);
    EXPECT_NE(status.message().find('"' + std::string(Name(kind)) + "\" cannot be made of " +
                                    std::string(model->layout().model_type)),
              std::string::npos)
        << status.ToString();
  }
  EXPECT_EQ(Kinds().size() + GetParam().missing.size(), AllOutlierKinds().size());
}

TEST_P(OutlierFamiliesTest, TheFunctionStaysTheSame) {
  const auto plain = Plain();
  for (const OutlierKind kind : Kinds()) {
    const auto values = WithOutliers({.kind = kind});
    if (kind != OutlierKind::kStream && kind != OutlierKind::kAll) {
      EXPECT_EQ(values, plain) << Name(kind);
      continue;
    }
    ASSERT_EQ(values.size(), plain.size());
    for (size_t i = 0; i < plain.size(); ++i) {
      EXPECT_NEAR(values[i], plain[i], kRotatedTolerance) << Name(kind) << ", token " << i;
    }
  }
}

TEST_P(OutlierFamiliesTest, IntegersLoseLittleMoreThanOnThePlainModel) {
  const auto exact = Plain();
  for (const Formats& formats : {kInt8, kInt4, kInt8Cache}) {
    const double plain = MeanDifference(Plain(formats), exact);
    for (const OutlierKind kind : Kinds()) {
      EXPECT_LT(MeanDifference(WithOutliers({.kind = kind}, formats), exact), 2.5 * plain)
          << Name(kind) << " in " << Name(formats.layers);
    }
  }
}

INSTANTIATE_TEST_SUITE_P(
    All, OutlierFamiliesTest,
    ::testing::Values(Family{"opt", {}}, Family{"gptj", {OutlierKind::kFeedForward}},
                      Family{"gpt_neox", {OutlierKind::kFeedForward}},
                      Family{"gpt_neox-sequential", {OutlierKind::kFeedForward}},
                      Family{"bloom", {OutlierKind::kFeedForward, OutlierKind::kStream}},
                      Family{"llama-bias", {}}),
    [](const auto& test) {
      std::string name;
      for (const char c : test.param.model) name += c == '-' ? '_' : c;
      return name;
    });

}  // namespace
}  // namespace dray::testing
