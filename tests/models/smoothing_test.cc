// Calibration and SmoothQuant on whole models: with float weights only exponents change, and 8-bit
// models stay close.
#include <gtest/gtest.h>
#include <unistd.h>

#include <algorithm>
#include <cmath>
#include <filesystem>
#include <fstream>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "engine/calibrate.h"
#include "model/describe/model_files.h"
#include "model/weights/balance/balance.h"
#include "model/weights/calibration.h"
#include "testing/golden_model.h"
#include "testing/golden_run.h"

namespace dray::engine {
namespace {

using kernels::WeightFormat;
using model::Calibration;
using model::Slot;
using testing::GoldenModel;

// A calibration of the model on its own prompts, in a file that is removed with the object.
class CalibrationFile {
 public:
  explicit CalibrationFile(const GoldenModel& golden)
      : path_(::testing::TempDir() + "calibration" + std::to_string(::getpid()) + ".json") {
    auto calibrator = Calibrator::Load({.model_dir = golden.dir, .format = WeightFormat::kF32});
    EXPECT_TRUE(calibrator.ok()) << calibrator.status().ToString();
    for (const auto& prompt : golden.prompts) {
      const Status status = (*calibrator)->Read(prompt.ids);
      EXPECT_TRUE(status.ok()) << status.ToString();
    }
    const Status status = model::WriteCalibration((*calibrator)->calibration(), path_);
    EXPECT_TRUE(status.ok()) << status.ToString();
    calibration_ = (*calibrator)->calibration();
  }
  ~CalibrationFile() { std::filesystem::remove(path_); }
  CalibrationFile(const CalibrationFile&) = delete;
  CalibrationFile& operator=(const CalibrationFile&) = delete;

  const std::filesystem::path& path() const { return path_; }
  const Calibration& calibration() const { return *calibration_; }

 private:
  std::filesystem::path path_;
  std::optional<Calibration> calibration_;
};

std::unique_ptr<LoadedModel> Load(const GoldenModel& golden, WeightFormat format,
                                  std::optional<SmoothingOptions> smoothing = std::nullopt) {
  auto model = LoadModel({.model_dir = golden.dir,
                          .format = format,
                          .table_format = WeightFormat::kF32,
                          .smoothing = std::move(smoothing),
                          .backend_options = {.cpu = {.num_threads = 2}}});
  EXPECT_TRUE(model.ok()) << model.status().ToString();
  return model.ok() ? std::move(*model) : nullptr;
}

class SmoothingTest : public ::testing::TestWithParam<std::string> {
 protected:
  GoldenModel golden_ = testing::ReadGoldenModel(GetParam());
  CalibrationFile file_{golden_};
};

// Factors are powers of two, so each product of a weight and an input is exactly the same number.
TEST_P(SmoothingTest, InFloatsNoBitChanges) {
  const auto plain = Load(golden_, WeightFormat::kF32);
  for (const double alpha : {0.0, 0.5, 0.9}) {
    const auto smoothed = Load(golden_, WeightFormat::kF32, SmoothingOptions{file_.path(), alpha});
    ASSERT_NE(smoothed, nullptr);
    EXPECT_EQ(testing::WorstLogitError(*smoothed, golden_),
              testing::WorstLogitError(*plain, golden_));
    EXPECT_EQ(testing::GreedyTokens(*smoothed, golden_), testing::GreedyTokens(*plain, golden_));
  }
}

// The models are random, and they read a prompt of the calibration. The inputs of a layer have one
// step, given by the largest of all rows, so a row of small inputs has a larger error than with a
// step of its own. The limit is four times the error with a step for each row, plus a tenth of the
// largest logit. A wrong factor or step gives an error near one.
TEST_P(SmoothingTest, EightBitsStayNear) {
  const auto dynamic = Load(golden_, WeightFormat::kI8);
  const auto smoothed = Load(golden_, WeightFormat::kI8, SmoothingOptions{file_.path(), 0.5});
  ASSERT_NE(smoothed, nullptr);
  EXPECT_LT(testing::WorstLogitError(*smoothed, golden_),
            4 * testing::WorstLogitError(*dynamic, golden_) + 0.1);
}

// Each channel is recorded by the rank that reads it. The ranks' sums differ from those of one rank
// by the rounding of f32.
TEST_P(SmoothingTest, RanksMeasureTheSamePeaks) {
  auto calibrator =
      Calibrator::Load({.model_dir = golden_.dir,
                        .format = WeightFormat::kF32,
                        .tensor_parallel_degree = 2,
                        .pipeline_parallel_degree = 2,
                        .backend_options = {.cpu = {.num_threads = 4, .oversubscribe = true}}});
  ASSERT_TRUE(calibrator.ok()) << calibrator.status().ToString();
  for (const auto& prompt : golden_.prompts) EXPECT_TRUE((*calibrator)->Read(prompt.ids).ok());
  const Calibration& divided = (*calibrator)->calibration();
  for (int64_t layer = 0; layer < divided.num_layers(); ++layer) {
    for (const Slot slot : model::kCalibratedSlots) {
      const auto got = divided.Peaks(slot, layer), want = file_.calibration().Peaks(slot, layer);
      ASSERT_EQ(got.size(), want.size());
      const float largest = *std::max_element(want.begin(), want.end());
      for (size_t i = 0; i < got.size(); ++i) EXPECT_NEAR(got[i], want[i], 1e-4 * largest) << i;
    }
  }
}

TEST_P(SmoothingTest, AFileHoldsWhatWasMeasured) {
  const auto files = model::OpenModelFiles(golden_.dir);
  ASSERT_TRUE(files.ok());
  const model::ModelConfig& config = files->description.config;
  const auto read = model::ReadCalibration(file_.path(), config);
  ASSERT_TRUE(read.ok()) << read.status().ToString();
  EXPECT_EQ(read->num_tokens, file_.calibration().num_tokens);
  for (int64_t layer = 0; layer < config.stack.num_layers; ++layer) {
    for (const Slot slot : model::kCalibratedSlots) {
      const auto got = read->Peaks(slot, layer);
      const auto want = file_.calibration().Peaks(slot, layer);
      EXPECT_TRUE(std::equal(got.begin(), got.end(), want.begin(), want.end()));
      EXPECT_GT(*std::max_element(got.begin(), got.end()), 0.0f);
    }
  }
}

INSTANTIATE_TEST_SUITE_P(Golden, SmoothingTest, ::testing::ValuesIn(testing::GoldenVariants()),
                         [](const auto& variant) {
                           std::string name = variant.param;
                           std::replace_if(
                               name.begin(), name.end(), [](char c) { return !std::isalnum(c); },
                               '_');
                           return name;
                         });

class CalibrationErrorTest : public ::testing::Test {
 protected:
  // Replaces `find` by `replace` in the file's text and returns the message with which it is
  // refused.
  std::string Refusal(const std::string& variant, const std::string& find,
                      const std::string& replace) {
    std::ifstream in(file_.path());
    std::string text((std::istreambuf_iterator<char>(in)), {});
    const size_t at = text.find(find);
    EXPECT_NE(at, std::string::npos) << find;
    if (at != std::string::npos) text.replace(at, find.size(), replace);
    const std::string path = ::testing::TempDir() + "changed.json";
    std::ofstream(path) << text;
    const auto files = model::OpenModelFiles(testing::ReadGoldenModel(variant).dir);
    EXPECT_TRUE(files.ok());
    const auto read = model::ReadCalibration(path, files->description.config);
    std::filesystem::remove(path);
    return read.ok() ? "" : read.status().message();
  }

  GoldenModel golden_ = testing::ReadGoldenModel("llama");
  CalibrationFile file_{golden_};
};

TEST_F(CalibrationErrorTest, NamesWhatIsWrong) {
  EXPECT_NE(Refusal("gpt2", "kind", "kind").find("is of a llama model with"), std::string::npos);
  EXPECT_NE(Refusal("llama", "dray calibration", "other").find("no calibration file"),
            std::string::npos);
  EXPECT_NE(Refusal("llama", "\"version\":1", "\"version\":2").find("no calibration file"),
            std::string::npos);
  EXPECT_NE(Refusal("llama", "\"qkv\":[", "\"qkv\":[1,").find("layer 0: qkv has"),
            std::string::npos);
  EXPECT_NE(Refusal("llama", "\"qkv\":[", "\"qkv\":[-1,").find("layer 0: qkv has"),
            std::string::npos);
  EXPECT_NE(Refusal("llama", "\"ffn_out\"", "\"ffn\"").find("ffn_out has 0 channels"),
            std::string::npos);
  EXPECT_NE(Refusal("llama", "{", "").find("changed.json"), std::string::npos);
  EXPECT_EQ(Refusal("llama", "kind", "kind"), "");
}

TEST_F(CalibrationErrorTest, AMissingFileSaysHowItIsMade) {
  const auto model = LoadModel({.model_dir = golden_.dir,
                                .format = WeightFormat::kI8,
                                .smoothing = SmoothingOptions{"/nowhere/calibration.json", 0.5}});
  ASSERT_FALSE(model.ok());
  EXPECT_NE(model.status().message().find("dray calibrate"), std::string::npos)
      << model.status().message();
}

TEST_F(CalibrationErrorTest, QuantisedCheckpointsAreNotSmoothed) {
  const GoldenModel packed = testing::ReadGoldenModel("../quantized/gptq-g32");
  const CalibrationFile file(packed);
  const auto model = LoadModel({.model_dir = packed.dir,
                                .format = WeightFormat::kI8,
                                .smoothing = SmoothingOptions{file.path(), 0.5}});
  ASSERT_FALSE(model.ok());
  EXPECT_EQ(model.status().code(), StatusCode::kUnsupported);
}

// A golden model's factors, balanced with a calibration of its own.
class SmoothedModel {
 public:
  SmoothedModel(const std::string& variant, double alpha)
      : file_(testing::ReadGoldenModel(variant)),
        files_(model::OpenModelFiles(testing::ReadGoldenModel(variant).dir).value()),
        plan_(model::PlanTensors(files_.description, files_.checkpoint).value()),
        balance_(
            model::Balance::Make(
                files_.description, plan_,
                {.layers = WeightFormat::kI8, .calibration = &file_.calibration(), .alpha = alpha})
                .value()),
        backend_(kernels::MakeBackend({.cpu = {.num_threads = 2}}).value()) {}

  const Calibration& calibration() const { return file_.calibration(); }
  const model::SlotFactors& Of(Slot slot) { return balance_->Of(slot, 0, backend_->packer()); }
  // Whether any input of the first layer's matrix is divided.
  bool IsMoved(Slot slot) {
    EXPECT_GT(Of(slot).input_scale, 0.0f);
    const auto& factors = Of(slot).columns;
    return std::any_of(factors.begin(), factors.end(), [](float f) { return f != 1.0f; });
  }

 private:
  CalibrationFile file_;
  model::ModelFiles files_;
  model::LoadPlan plan_;
  std::unique_ptr<model::Balance> balance_;
  std::unique_ptr<kernels::Backend> backend_;
};

bool IsMoved(const std::string& variant, Slot slot) {
  return SmoothedModel(variant, 0.5).IsMoved(slot);
}

TEST(SmoothingPlacesTest, WhateverFeedsLinearLayersAlone) {
  EXPECT_TRUE(IsMoved("llama", Slot::kQkv));
  EXPECT_TRUE(IsMoved("llama", Slot::kFfnIn));
  EXPECT_TRUE(IsMoved("llama", Slot::kAttentionOut));
  EXPECT_TRUE(IsMoved("llama", Slot::kFfnOut));
  EXPECT_TRUE(IsMoved("gptj", Slot::kFfnIn));
  EXPECT_FALSE(IsMoved("gptj", Slot::kFfnOut));               // GELU
  EXPECT_FALSE(IsMoved("opt-350m", Slot::kQkv));              // norms after the sums
  EXPECT_FALSE(IsMoved("bloom-post-layernorm", Slot::kQkv));  // residual is the norm's output
}

TEST(SmoothingFormulaTest, BalancesByAlpha) {
  // With the whole range moved, all channels' inputs have the same peak, up to half a power of two on
  // either side.
  SmoothedModel smoothed("llama", 1.0);
  const model::SlotFactors& qkv = smoothed.Of(Slot::kQkv);
  const auto peaks = smoothed.calibration().Peaks(Slot::kQkv, 0);
  ASSERT_EQ(qkv.columns.size(), peaks.size());
  float least = INFINITY, most = 0;
  for (size_t i = 0; i < peaks.size(); ++i) {
    EXPECT_EQ(std::log2(qkv.columns[i]), std::nearbyint(std::log2(qkv.columns[i])));
    least = std::min(least, peaks[i] / qkv.columns[i]);
    most = std::max(most, peaks[i] / qkv.columns[i]);
  }
  EXPECT_LE(most / least, 2.0f * 1.0001f);
  EXPECT_EQ(qkv.input_scale, most / 127.0f);
}

}  // namespace
}  // namespace dray::engine
