// What the tests of outlier models compare: the log-probabilities that a model gives to tokens.
#pragma once

#include <gtest/gtest.h>

#include <cmath>
#include <cstdint>
#include <filesystem>
#include <memory>
#include <utility>
#include <vector>

#include "engine/engine_core.h"
#include "outliers/outliers.h"
#include "testing/engine_support.h"

namespace dray::testing {

// How a model is stored; f32 if nothing is said.
struct Formats {
  kernels::WeightForm layers = kernels::WeightFormat::kF32;
  kernels::WeightForm tables = kernels::WeightFormat::kF32;
  DType cache = DType::kF32;
};
inline const Formats kInt8 = {.layers = kernels::WeightFormat::kI8,
                              .tables = kernels::WeightFormat::kI8};
inline const Formats kInt4 = {.layers = kernels::WeightFormat::kI4,
                              .tables = kernels::WeightFormat::kI8};
inline const Formats kInt8Cache = {.cache = DType::kI8};

// The log-probability of each token after the first one.
inline std::vector<float> LogProbabilities(const std::filesystem::path& dir,
                                           std::vector<int32_t> tokens,
                                           const Formats& formats = {}) {
  auto model = engine::LoadModel({.model_dir = dir,
                                  .format = formats.layers,
                                  .table_format = formats.tables,
                                  .int8_cache = formats.cache == DType::kI8,
                                  .backend_options = {.cpu = {.num_threads = 1}}});
  EXPECT_TRUE(model.ok()) << model.status().ToString();
  if (!model.ok()) return {};
  auto core = engine::EngineCore::Make(**model, {.max_sequences = 1, .kv_dtype = formats.cache});
  EXPECT_TRUE(core.ok()) << core.status().ToString();
  auto request = engine::MakeRequest(std::move(tokens), 1);
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

// Writes a copy of the model at `source`, with outliers, to the folder `out`.
inline void WriteWithOutliers(const std::filesystem::path& source, const Outliers& outliers,
                              const std::filesystem::path& out) {
  auto model = FloatModel::Read(source);
  ASSERT_TRUE(model.ok()) << model.status().ToString();
  Status status = AddOutliers(*model, outliers);
  ASSERT_TRUE(status.ok()) << status.ToString();
  status = model->Write(out);
  ASSERT_TRUE(status.ok()) << status.ToString();
}

// The mean of the tokens' differences.
inline double MeanDifference(const std::vector<float>& a, const std::vector<float>& b) {
  EXPECT_EQ(a.size(), b.size());
  double sum = 0;
  for (size_t i = 0; i < a.size(); ++i) sum += std::abs(double{a[i]} - double{b[i]});
  return sum / static_cast<double>(a.size());
}

}  // namespace dray::testing
