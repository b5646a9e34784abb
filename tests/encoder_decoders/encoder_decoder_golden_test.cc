// Encoder-decoders against transformers, for every committed variant: the encoder's states and the
// logits of answers, in ragged steps, on every instruction set, with weights and caches in other
// formats, divided over ranks, and on a backend whose memory the host cannot read.
#include <gtest/gtest.h>
#include <stdlib.h>  // mkdtemp

#include <algorithm>
#include <cmath>
#include <filesystem>
#include <string>
#include <utility>
#include <vector>

#include "base/testing/test_name.h"
#include "encoder_decoders/encoder_decoder_run.h"
#include "engine/partition.h"
#include "kernels/cpu/dispatch.h"
#include "kernels/make_backend.h"
#include "kernels/testing/unreadable_backend.h"

namespace dray::engine {
namespace {

using kernels::WeightForm;
using kernels::WeightFormat;
using testing::GoldenEncoderDecoder;
using testing::GoldenSource;

// transformers' own float32 and float64 runs of these models differ by up to 1e-5.
constexpr float kStateTolerance = 1e-4f;
// Of logits, relative to the largest of a model: as in golden_model_test.cc.
constexpr double kLogitTolerance = 1e-4;

float LargestDifference(const std::vector<float>& a, const std::vector<float>& b) {
  EXPECT_EQ(a.size(), b.size());
  float most = 0;
  for (size_t i = 0; i < std::min(a.size(), b.size()); ++i) {
    most = std::max(most, std::fabs(a[i] - b[i]));
  }
  return most;
}

float LargestOf(const std::vector<float>& values) {
  return LargestDifference(values, std::vector<float>(values.size()));
}

// The root mean square of the differences over that of `b`.
double RelativeError(const std::vector<float>& a, const std::vector<float>& b) {
  EXPECT_EQ(a.size(), b.size());
  double error = 0, total = 0;
  for (size_t i = 0; i < std::min(a.size(), b.size()); ++i) {
    error += std::pow(double{a[i]} - double{b[i]}, 2);
    total += std::pow(double{b[i]}, 2);
  }
  return std::sqrt(error / total);
}

std::vector<float> Joined(const std::vector<GoldenSource>& sources,
                          std::vector<float> GoldenSource::*part) {
  std::vector<float> all;
  for (const GoldenSource& source : sources) {
    all.insert(all.end(), (source.*part).begin(), (source.*part).end());
  }
  return all;
}

class EncoderDecoderGoldenTest : public ::testing::TestWithParam<std::string> {
 protected:
  void SetUp() override {
    golden_ = testing::ReadGoldenEncoderDecoder(GetParam());
    states_ = Joined(golden_.sources, &GoldenSource::states);
    logits_ = Joined(golden_.sources, &GoldenSource::logits);
  }

  void ExpectGolden(LoadedModel& model, const std::string& what) const {
    EXPECT_LT(LargestDifference(SourceStates(model, golden_.sources, 20), states_), kStateTolerance)
        << what;
    EXPECT_LT(LargestDifference(GoldenTokenLogits(model, golden_.sources), logits_),
              kLogitTolerance * LargestOf(logits_))
        << what;
  }

  GoldenEncoderDecoder golden_;
  std::vector<float> states_;
  std::vector<float> logits_;
};

TEST_P(EncoderDecoderGoldenTest, StatesAndLogitsAreThoseOfTransformers) {
  for (const kernels::IsaKernels* isa : kernels::AvailableIsas()) {
    const auto model =
        LoadGolden(golden_, {.backend_options = {.cpu = {.isa = std::string(isa->name)}}});
    ASSERT_NE(model, nullptr);
    ExpectGolden(*model, isa->name);
  }
}

TEST_P(EncoderDecoderGoldenTest, ASourceIsTheSameBitsInABatch) {
  const auto one = LoadGolden(golden_, {.backend_options = {.cpu = {.num_threads = 1}}});
  const auto three = LoadGolden(golden_, {.backend_options = {.cpu = {.num_threads = 3}}});
  ASSERT_TRUE(one != nullptr && three != nullptr);
  EXPECT_EQ(SourceStates(*one, golden_.sources, 1), SourceStates(*three, golden_.sources, 20));
  std::vector<float> alone;
  for (const GoldenSource& source : golden_.sources) {
    const auto logits = GoldenTokenLogits(*one, {source});
    alone.insert(alone.end(), logits.begin(), logits.end());
  }
  EXPECT_EQ(alone, GoldenTokenLogits(*three, golden_.sources));
}

TEST_P(EncoderDecoderGoldenTest, OtherFormatsAreClose) {
  // A step of each format relative to the largest weight of a row or group, times a factor for what
  // the layers of these small random models make of it.
  const std::vector<std::pair<WeightFormat, double>> formats = {{WeightFormat::kF16, 0.02},
                                                                {WeightFormat::kBF16, 0.15},
                                                                {WeightFormat::kI8, 0.3},
                                                                {WeightFormat::kI4, 1.2}};
  for (const auto& [format, limit] : formats) {
    const auto model = LoadGolden(golden_, {.format = format});
    ASSERT_NE(model, nullptr);
    const auto states = SourceStates(*model, golden_.sources, 20);
    EXPECT_LT(RelativeError(states, states_), limit) << Name(format);
    EXPECT_EQ(SourceStates(*model, golden_.sources, 1), states) << Name(format);
    EXPECT_LT(RelativeError(GoldenTokenLogits(*model, golden_.sources), logits_), limit)
        << Name(format);
  }
}

TEST_P(EncoderDecoderGoldenTest, CachesOfOtherFormatsAreClose) {
  const auto model = LoadGolden(golden_);
  ASSERT_NE(model, nullptr);
  const std::vector<std::pair<DType, double>> formats = {
      {DType::kF16, 0.02}, {DType::kBF16, 0.1}, {DType::kI8, 0.15}};
  for (const auto& [dtype, limit] : formats) {
    EXPECT_LT(RelativeError(GoldenTokenLogits(*model, golden_.sources, dtype), logits_), limit)
        << Name(dtype);
  }
}

TEST_P(EncoderDecoderGoldenTest, RanksComputeTheSame) {
  const auto plain = LoadGolden(golden_);
  ASSERT_NE(plain, nullptr);
  const int64_t num_heads = plain->description.config.stack.num_heads;
  for (const int64_t num_ranks : {2, 3}) {
    if (num_ranks > num_heads) continue;
    const auto model = LoadGolden(golden_, {.tensor_parallel_degree = num_ranks,
                                            .backend_options = {.cpu = {.num_threads = 3}}});
    ASSERT_NE(model, nullptr);
    EXPECT_LT(LargestDifference(GoldenTokenLogits(*model, golden_.sources), logits_),
              kLogitTolerance * LargestOf(logits_))
        << num_ranks << " ranks";
  }
}

TEST_P(EncoderDecoderGoldenTest, AnArtifactIsTheSameBits) {
  std::string folder = ::testing::TempDir() + "encoder_decoder_XXXXXX";
  ASSERT_NE(::mkdtemp(folder.data()), nullptr);
  for (const WeightFormat format : {WeightFormat::kF32, WeightFormat::kI8}) {
    const auto artifact = std::filesystem::path(folder) / Name(format);
    const auto written =
        Partition({.load = {.model_dir = golden_.dir, .format = WeightForm(format)},
                   .tokenizer = golden_.dir,
                   .output = artifact});
    ASSERT_TRUE(written.ok()) << written.status().ToString();
    for (const int64_t num_ranks : {1, 2}) {
      LoadModelOptions options = {.format = format, .tensor_parallel_degree = num_ranks};
      if (num_ranks > 1 && golden_.dir.filename() == "t5-one-head") continue;
      const auto loaded = LoadGolden(golden_, options);
      GoldenEncoderDecoder mapped = golden_;
      mapped.dir = artifact;
      const auto model = LoadGolden(mapped, options);
      ASSERT_TRUE(loaded != nullptr && model != nullptr);
      EXPECT_EQ(GoldenTokenLogits(*model, golden_.sources),
                GoldenTokenLogits(*loaded, golden_.sources))
          << Name(format) << " at " << num_ranks << " ranks";
    }
  }
  std::filesystem::remove_all(folder);
}

TEST_P(EncoderDecoderGoldenTest, TheHostReadsNoDeviceMemory) {
  const auto plain = LoadGolden(golden_);
  auto backend = kernels::MakeBackend({.cpu = {.num_threads = 2}});
  ASSERT_TRUE(backend.ok());
  auto unreadable = kernels::MakeUnreadableBackend(std::move(*backend));
  ASSERT_TRUE(unreadable.ok());
  const auto model = LoadGolden(golden_, {.backends = {std::move(*unreadable)}});
  ASSERT_TRUE(plain != nullptr && model != nullptr);
  EXPECT_EQ(GoldenTokenLogits(*model, golden_.sources), GoldenTokenLogits(*plain, golden_.sources));
}

INSTANTIATE_TEST_SUITE_P(All, EncoderDecoderGoldenTest,
                         ::testing::ValuesIn(testing::GoldenEncoderDecoderVariants()),
                         [](const auto& test) { return AsTestName(test.param); });

}  // namespace
}  // namespace dray::engine
