// Encoders against transformers, for every committed variant: the states of each token and the
// outputs of classifiers, text by text and in ragged batches, on every instruction set, with weights
// in other formats, and divided among ranks.
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <string>
#include <vector>

#include "base/testing/test_name.h"
#include "encoders/encoder_run.h"
#include "kernels/cpu/dispatch.h"

namespace dray::engine {
namespace {

using kernels::WeightForm;
using kernels::WeightFormat;
using testing::GoldenEncoder;

LoadModelOptions Options(WeightForm format, int num_threads, const std::string& isa = "") {
  return {.format = format, .backend_options = {.cpu = {.num_threads = num_threads, .isa = isa}}};
}

// The root mean square of the differences over that of `b`.
double RelativeError(const std::vector<float>& a, const std::vector<float>& b) {
  double error = 0, total = 0;
  for (size_t i = 0; i < b.size(); ++i) {
    error += std::pow(double{a[i]} - double{b[i]}, 2);
    total += std::pow(double{b[i]}, 2);
  }
  return std::sqrt(error / total);
}

class EncoderGoldenTest : public ::testing::TestWithParam<std::string> {
 protected:
  void SetUp() override { golden_ = testing::ReadGoldenEncoder(GetParam()); }

  GoldenEncoder golden_;
};

TEST_P(EncoderGoldenTest, StatesAndClassesAreThoseOfTransformers) {
  const EncodeNumbers expected = ExpectedNumbers(golden_);
  for (const kernels::IsaKernels* isa : kernels::AvailableIsas()) {
    LoadedEncoder setup(golden_, Options(WeightFormat::kF32, 2, std::string(isa->name)));
    ASSERT_TRUE(setup.ok());
    const EncodeNumbers got = setup.Run(AllTexts(golden_));
    EXPECT_LT(LargestDifference(got.states, expected.states), kEncoderTolerance) << isa->name;
    EXPECT_LT(LargestDifference(got.classes, expected.classes), kEncoderTolerance) << isa->name;
  }
}

TEST_P(EncoderGoldenTest, ATextIsTheSameBitsInABatch) {
  LoadedEncoder one(golden_, Options(WeightFormat::kF32, 1)),
      three(golden_, Options(WeightFormat::kF32, 3));
  ASSERT_TRUE(one.ok() && three.ok());
  const EncodeNumbers alone = EachByItself(one, golden_);
  const EncodeNumbers together = three.Run(AllTexts(golden_));
  EXPECT_EQ(alone.states, together.states);
  EXPECT_EQ(alone.classes, together.classes);
}

TEST_P(EncoderGoldenTest, OtherFormatsAreClose) {
  // A step of each format relative to the largest weight of a row or group, times a factor for what
  // the layers of these small random models make of it.
  const std::vector<std::pair<WeightFormat, double>> formats = {{WeightFormat::kF16, 0.01},
                                                                {WeightFormat::kBF16, 0.05},
                                                                {WeightFormat::kI8, 0.1},
                                                                {WeightFormat::kI4, 0.6}};
  const EncodeNumbers expected = ExpectedNumbers(golden_);
  for (const auto& [format, limit] : formats) {
    LoadedEncoder setup(golden_, Options(format, 2));
    ASSERT_TRUE(setup.ok());
    const EncodeNumbers got = setup.Run(AllTexts(golden_));
    ASSERT_EQ(got.states.size(), expected.states.size());
    EXPECT_LT(RelativeError(got.states, expected.states), limit) << Name(format);
    EXPECT_EQ(EachByItself(setup, golden_).states, got.states) << Name(format);
  }
}

TEST_P(EncoderGoldenTest, RanksComputeTheSameTogether) {
  const EncodeNumbers expected = ExpectedNumbers(golden_);
  const int64_t num_heads = LoadedEncoder(golden_, Options(WeightFormat::kF32, 1)).num_heads();
  for (int64_t degree = 2; degree <= std::min<int64_t>(4, num_heads); ++degree) {
    LoadModelOptions options = Options(WeightFormat::kF32, static_cast<int>(degree));
    options.tensor_parallel_degree = degree;
    LoadedEncoder setup(golden_, options);
    ASSERT_TRUE(setup.ok());
    EXPECT_EQ(setup.num_ranks(), degree);
    const EncodeNumbers got = setup.Run(AllTexts(golden_));
    EXPECT_LT(LargestDifference(got.states, expected.states), kEncoderTolerance)
        << degree << " ranks";
    EXPECT_LT(LargestDifference(got.classes, expected.classes), kEncoderTolerance)
        << degree << " ranks";
    const EncodeNumbers alone = EachByItself(setup, golden_);
    EXPECT_EQ(alone.states, got.states) << degree << " ranks";
    EXPECT_EQ(alone.classes, got.classes) << degree << " ranks";
  }
}

TEST_P(EncoderGoldenTest, RanksTakeOtherFormats) {
  const EncodeNumbers expected = ExpectedNumbers(golden_);
  if (LoadedEncoder(golden_, Options(WeightFormat::kF32, 1)).num_heads() < 2) return;
  for (const WeightFormat format : {WeightFormat::kBF16, WeightFormat::kI8}) {
    LoadModelOptions options = Options(format, 2);
    options.tensor_parallel_degree = 2;
    LoadedEncoder setup(golden_, options);
    ASSERT_TRUE(setup.ok());
    EXPECT_LT(RelativeError(setup.Run(AllTexts(golden_)).states, expected.states), 0.1)
        << Name(format);
  }
}

INSTANTIATE_TEST_SUITE_P(All, EncoderGoldenTest,
                         ::testing::ValuesIn(testing::GoldenEncoderVariants()),
                         [](const auto& test) { return AsTestName(test.param); });

}  // namespace
}  // namespace dray::engine
