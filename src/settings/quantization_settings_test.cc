// The settings of number formats: spellings, and what they mean together.
#include "settings/quantization_settings.h"

#include <gtest/gtest.h>

#include <string>

#include "settings/load_settings.h"

namespace dray::settings {
namespace {

using kernels::Inputs;
using kernels::WeightForm;
using kernels::WeightFormat;
using kernels::ZeroPoint;

Result<engine::LoadModelOptions> Make(Properties properties) {
  SettingSources sources;
  sources.serving_properties = std::move(properties);
  DRAY_ASSIGN_OR_RETURN(const auto loaded, LoadSettings(sources));
  return MakeQuantization(loaded.settings.model.dtype, loaded.settings.model.quantization);
}

engine::LoadModelOptions Options(Properties properties) {
  auto options = Make(std::move(properties));
  EXPECT_TRUE(options.ok()) << options.status().message();
  return options.ok() ? *options : engine::LoadModelOptions();
}

std::string Error(Properties properties) {
  const auto options = Make(std::move(properties));
  EXPECT_FALSE(options.ok());
  return options.status().message();
}

TEST(QuantizationSettingsTest, ADtypeAloneIsForAllWeights) {
  EXPECT_EQ(Options({}).format, std::nullopt);
  EXPECT_EQ(Options({{"option.dtype", "bf16"}}).format, WeightFormat::kBF16);
  EXPECT_EQ(Options({{"option.dtype", "int8"}}).format, WeightFormat::kI8);
  EXPECT_EQ(Options({{"option.dtype", "int4"}}).format, WeightFormat::kI4);
  EXPECT_EQ(Options({{"option.dtype", "int8"}}).table_format, std::nullopt);
}

TEST(QuantizationSettingsTest, EachMethodHasItsForm) {
  const auto form = [](std::string method, std::string group = "0") {
    return *Options({{"option.quantize", method}, {"option.quantize_group_size", group}}).format;
  };
  EXPECT_EQ(form("dynamic_int8"), WeightFormat::kI8);
  EXPECT_EQ(form("int8"), WeightFormat::kI8);
  EXPECT_EQ(form("dynamic_int8", "64"), WeightForm(WeightFormat::kI8, 64));
  EXPECT_EQ(form("int8_weight_only"),
            WeightForm(WeightFormat::kI8, 0, ZeroPoint::kNone, Inputs::kFloat));
  EXPECT_EQ(form("int4"), WeightFormat::kI4);
  EXPECT_EQ(form("int4", "32"), WeightForm(WeightFormat::kI4, 32));
  EXPECT_EQ(form("int4_asym"), WeightForm(WeightFormat::kI4, 0, ZeroPoint::kPerGroup));
  EXPECT_EQ(form("int4_asym", "128"), WeightForm(WeightFormat::kI4, 128, ZeroPoint::kPerGroup));
  EXPECT_EQ(form("smoothquant"), WeightFormat::kI8);
  EXPECT_EQ(*Options({{"option.dtype", "int4"}, {"option.quantize_group_size", "32"}}).format,
            WeightForm(WeightFormat::kI4, 32));
}

TEST(QuantizationSettingsTest, TablesBesideLayersInFourBitsHaveEight) {
  for (const std::string method : {"int4", "int4_asym"}) {
    EXPECT_EQ(Options({{"option.quantize", method}}).table_format, WeightFormat::kI8);
  }
  EXPECT_EQ(Options({{"option.dtype", "int4"}}).table_format, WeightFormat::kI8);
  EXPECT_EQ(Options({{"option.quantize", "int8_weight_only"}}).table_format, std::nullopt);
}

TEST(QuantizationSettingsTest, ADtypeBesideAMethodIsForTheTables) {
  const auto options = Options({{"option.quantize", "int4"}, {"option.dtype", "fp16"}});
  EXPECT_EQ(options.format, WeightFormat::kI4);
  EXPECT_EQ(options.table_format, WeightFormat::kF16);
  const auto same = Options({{"option.quantize", "dynamic_int8"}, {"option.dtype", "int8"}});
  EXPECT_EQ(same.format, WeightFormat::kI8);
  EXPECT_EQ(same.table_format, std::nullopt);
}

TEST(QuantizationSettingsTest, Smoothquant) {
  const auto plain = Options({{"option.quantize", "smoothquant"}});
  ASSERT_TRUE(plain.smoothing.has_value());
  EXPECT_EQ(plain.smoothing->alpha, 0.5);
  EXPECT_EQ(plain.smoothing->calibration_file, "");
  const auto given = Options({{"option.quantize", "smoothquant"},
                              {"option.smoothquant_alpha", "0.8"},
                              {"option.calibration_file", "c.json"}});
  EXPECT_EQ(given.smoothing->alpha, 0.8);
  EXPECT_EQ(given.smoothing->calibration_file, "c.json");
}

TEST(QuantizationSettingsTest, WhatTheCheckpointIs) {
  const auto options = Options({{"option.quantize", "awq"}, {"option.dtype", "fp16"}});
  EXPECT_EQ(options.quantized_by, "awq");
  EXPECT_EQ(options.format, WeightFormat::kF16);
}

TEST(QuantizationSettingsTest, ErrorsNameTheValueAndWhatToDo) {
  EXPECT_EQ(
      Error({{"option.quantize", "int5"}}),
      "serving.properties: option.quantize is \"int5\"; it must be one of none, dynamic_int8, "
      "int8_weight_only, int4, int4_asym, smoothquant, or what the checkpoint is: gptq, awq");
  EXPECT_EQ(
      Error({{"option.quantize_group_size", "48"}}),
      "serving.properties: option.quantize_group_size is \"48\"; it must be 32, 64 or 128, or "
      "0 for the method's own");
  EXPECT_EQ(
      Error({{"option.smoothquant_alpha", "1.5"}}),
      "serving.properties: option.smoothquant_alpha is \"1.5\"; it must be a number from 0 to "
      "1");
  EXPECT_EQ(
      Error({{"option.quantize", "int4"}, {"option.dtype", "int8"}}),
      "dtype is int8 and quantize is int4; beside quantize, dtype names the floats of what is "
      "not quantised: auto, fp32, fp16 or bf16");
  EXPECT_EQ(
      Error({{"option.quantize", "int8_weight_only"}, {"option.quantize_group_size", "64"}}),
      "quantize_group_size is 64, but quantize is int8_weight_only, which has no groups; only "
      "dynamic_int8, int4 and int4_asym have");
  EXPECT_EQ(Error({{"option.quantize", "int4"}, {"option.calibration_file", "c.json"}}),
            "calibration_file is c.json, but quantize is int4; only smoothquant uses it");
}

}  // namespace
}  // namespace dray::settings
