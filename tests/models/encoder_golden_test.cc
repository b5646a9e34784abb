// Encoders against transformers, for every committed variant: the states of each token and the
// outputs of classifiers, text by text and in ragged batches, on every instruction set, with weights
// in other formats, and divided among ranks.
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <memory>
#include <numeric>
#include <string>
#include <vector>

#include "engine/encoder/encoder_ranks.h"
#include "engine/runner/cache_size.h"
#include "engine/runner/loaded_model.h"
#include "kernels/cpu/dispatch.h"
#include "model/forward/encoder.h"
#include "testing/golden_encoder.h"

namespace dray::engine {
namespace {

using kernels::WeightForm;
using kernels::WeightFormat;
using testing::GoldenEncoder;
using testing::GoldenText;

// transformers' own float32 and float64 runs of these models differ by up to 2e-6; states are
// norms' outputs, so they are about one.
constexpr float kTolerance = 1e-4f;

struct Outputs {
  std::vector<float> states;   // of all texts, one behind the other
  std::vector<float> classes;  // [texts, labels]
};

// A loaded model and its forward pass.
class LoadedEncoder {
 public:
  LoadedEncoder(const GoldenEncoder& golden, LoadModelOptions options) {
    options.model_dir = golden.dir;
    options.backend_options.cpu.oversubscribe = true;
    auto loaded = LoadModel(options);
    EXPECT_TRUE(loaded.ok()) << loaded.status().ToString();
    if (!loaded.ok()) return;
    model_ = std::move(*loaded);
    auto ranks =
        EncoderRanks::Make(*model_, {.max_batch_tokens = 600,
                                     .max_texts = 20,
                                     .kv_dtype = KvDTypeBeside(model_->table_format.format)});
    EXPECT_TRUE(ranks.ok()) << ranks.status().ToString();
    if (ranks.ok()) ranks_ = std::move(*ranks);
  }
  bool ok() const { return ranks_ != nullptr; }
  int64_t num_ranks() const { return model_->num_ranks(); }
  int64_t num_heads() const { return model_->description.config.stack.num_heads; }

  Outputs Run(const std::vector<const GoldenText*>& texts) {
    model::EncoderBatch batch;
    for (const GoldenText* text : texts) {
      batch.ids.insert(batch.ids.end(), text->ids.begin(), text->ids.end());
      batch.types.insert(batch.types.end(), text->types.begin(), text->types.end());
      batch.lengths.push_back(static_cast<int32_t>(text->ids.size()));
    }
    const model::ModelConfig& config = model_->description.config;
    Outputs out;
    out.states.resize(batch.ids.size() * static_cast<size_t>(config.stack.hidden));
    kernels::StepTurn turn(*model_->ranks.front().backend, static_cast<int64_t>(batch.ids.size()));
    EXPECT_TRUE(ranks_->Forward(batch).ok());
    EXPECT_TRUE(ranks_->first().States(out.states).ok());
    if (config.classifier) {
      out.classes.resize(texts.size() * static_cast<size_t>(config.classifier->num_labels()));
      EXPECT_TRUE(ranks_->first().ClassOutputs(out.classes).ok());
    }
    EXPECT_TRUE(turn.Finish().ok());
    return out;
  }

 private:
  std::unique_ptr<LoadedModel> model_;
  std::unique_ptr<EncoderRanks> ranks_;
};

LoadModelOptions Options(WeightForm format, int num_threads, const std::string& isa = "") {
  return {.format = format, .backend_options = {.cpu = {.num_threads = num_threads, .isa = isa}}};
}

float LargestDifference(const std::vector<float>& a, const std::vector<float>& b) {
  EXPECT_EQ(a.size(), b.size());
  float most = 0;
  for (size_t i = 0; i < std::min(a.size(), b.size()); ++i) {
    most = std::max(most, std::fabs(a[i] - b[i]));
  }
  return most;
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

  // What `setup` computes of each text by itself, joined.
  Outputs EachByItself(LoadedEncoder& setup) const {
    Outputs all;
    for (const GoldenText& text : golden_.texts) {
      const Outputs one = setup.Run({&text});
      all.states.insert(all.states.end(), one.states.begin(), one.states.end());
      all.classes.insert(all.classes.end(), one.classes.begin(), one.classes.end());
    }
    return all;
  }
  Outputs Expected() const {
    Outputs all;
    for (const GoldenText& text : golden_.texts) {
      all.states.insert(all.states.end(), text.states.begin(), text.states.end());
      all.classes.insert(all.classes.end(), text.classes.begin(), text.classes.end());
    }
    return all;
  }
  std::vector<const GoldenText*> All() const {
    std::vector<const GoldenText*> texts;
    for (const GoldenText& text : golden_.texts) texts.push_back(&text);
    return texts;
  }

  GoldenEncoder golden_;
};

TEST_P(EncoderGoldenTest, StatesAndClassesAreThoseOfTransformers) {
  const Outputs expected = Expected();
  for (const kernels::IsaKernels* isa : kernels::AvailableIsas()) {
    LoadedEncoder setup(golden_, Options(WeightFormat::kF32, 2, std::string(isa->name)));
    ASSERT_TRUE(setup.ok());
    const Outputs got = setup.Run(All());
    EXPECT_LT(LargestDifference(got.states, expected.states), kTolerance) << isa->name;
    EXPECT_LT(LargestDifference(got.classes, expected.classes), kTolerance) << isa->name;
  }
}

TEST_P(EncoderGoldenTest, ATextIsTheSameBitsInABatch) {
  LoadedEncoder one(golden_, Options(WeightFormat::kF32, 1)),
      three(golden_, Options(WeightFormat::kF32, 3));
  ASSERT_TRUE(one.ok() && three.ok());
  const Outputs alone = EachByItself(one);
  const Outputs together = three.Run(All());
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
  const Outputs expected = Expected();
  for (const auto& [format, limit] : formats) {
    LoadedEncoder setup(golden_, Options(format, 2));
    ASSERT_TRUE(setup.ok());
    const Outputs got = setup.Run(All());
    ASSERT_EQ(got.states.size(), expected.states.size());
    EXPECT_LT(RelativeError(got.states, expected.states), limit) << Name(format);
    EXPECT_EQ(EachByItself(setup).states, got.states) << Name(format);
  }
}

TEST_P(EncoderGoldenTest, RanksComputeTheSameTogether) {
  const Outputs expected = Expected();
  const int64_t num_heads = LoadedEncoder(golden_, Options(WeightFormat::kF32, 1)).num_heads();
  for (int64_t degree = 2; degree <= std::min<int64_t>(4, num_heads); ++degree) {
    LoadModelOptions options = Options(WeightFormat::kF32, static_cast<int>(degree));
    options.tensor_parallel_degree = degree;
    LoadedEncoder setup(golden_, options);
    ASSERT_TRUE(setup.ok());
    EXPECT_EQ(setup.num_ranks(), degree);
    const Outputs got = setup.Run(All());
    EXPECT_LT(LargestDifference(got.states, expected.states), kTolerance) << degree << " ranks";
    EXPECT_LT(LargestDifference(got.classes, expected.classes), kTolerance) << degree << " ranks";
    const Outputs alone = EachByItself(setup);
    EXPECT_EQ(alone.states, got.states) << degree << " ranks";
    EXPECT_EQ(alone.classes, got.classes) << degree << " ranks";
  }
}

TEST_P(EncoderGoldenTest, RanksTakeOtherFormats) {
  const Outputs expected = Expected();
  if (LoadedEncoder(golden_, Options(WeightFormat::kF32, 1)).num_heads() < 2) return;
  for (const WeightFormat format : {WeightFormat::kBF16, WeightFormat::kI8}) {
    LoadModelOptions options = Options(format, 2);
    options.tensor_parallel_degree = 2;
    LoadedEncoder setup(golden_, options);
    ASSERT_TRUE(setup.ok());
    EXPECT_LT(RelativeError(setup.Run(All()).states, expected.states), 0.1) << Name(format);
  }
}

INSTANTIATE_TEST_SUITE_P(All, EncoderGoldenTest,
                         ::testing::ValuesIn(testing::GoldenEncoderVariants()),
                         [](const auto& test) {
                           std::string name = test.param;
                           std::replace(name.begin(), name.end(), '-', '_');
                           return name;
                         });

}  // namespace
}  // namespace dray::engine
