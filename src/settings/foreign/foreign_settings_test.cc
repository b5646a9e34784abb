// Keys of other servers: each is accepted or answered by name, and chooses dray's engine, is translated,
// or contradicts another.
#include "settings/foreign/foreign_settings.h"

#include <fmt/format.h>
#include <gtest/gtest.h>

#include <set>

#include "settings/foreign/environment_names.h"
#include "settings/foreign/translation.h"
#include "settings/foreign/words.h"
#include "settings/load_settings.h"
#include "settings/settings_table.h"

namespace dray::settings {
namespace {

using Texts = std::vector<std::string>;

SettingSources File(Properties properties) {
  SettingSources sources;
  sources.serving_properties = std::move(properties);
  return sources;
}

LoadedSettings Load(const Properties& properties) {
  auto loaded = LoadSettings(File(properties));
  EXPECT_TRUE(loaded.ok()) << loaded.status().message();
  return loaded.ok() ? *loaded : LoadedSettings{};
}

std::string ErrorOf(const Properties& properties) {
  const auto loaded = LoadSettings(File(properties));
  return loaded.ok() ? "" : loaded.status().message();
}

// All keys and variables of the tables.
std::vector<const ForeignSetting*> AllRows() {
  std::vector<const ForeignSetting*> rows;
  for (const ForeignTable& table : ForeignTables()) {
    for (const ForeignSetting& row : table.rows) rows.push_back(&row);
  }
  for (const ForeignSetting& row : VariableSettings()) rows.push_back(&row);
  return rows;
}

TEST(ForeignSettingsTest, NoKeyIsInTwoTables) {
  std::set<std::string> keys;
  const auto add = [&](std::string_view key) {
    EXPECT_TRUE(keys.insert(ToLower(key)).second) << key;
  };
  for (const Setting& setting : SettingTable()) {
    add(setting.property);
    std::string_view aliases = setting.aliases;
    while (!aliases.empty()) {
      const size_t end = std::min(aliases.find(' '), aliases.size());
      add(aliases.substr(0, end));
      aliases.remove_prefix(std::min(end + 1, aliases.size()));
    }
  }
  for (const EngineKey& key : EngineKeys()) add(key.property);
  for (const ForeignSetting* row : AllRows()) add(row->property);
}

// A value that no key has among those that ask for nothing.
constexpr const char* kOther = "7";

TEST(ForeignSettingsTest, EveryKeyIsAnsweredByName) {
  for (const ForeignTable& table : ForeignTables()) {
    for (const ForeignSetting& row : table.rows) {
      const std::string key(row.property);
      const std::string said = fmt::format("serving.properties: {} is \"7\", which ", key);
      const auto loaded = LoadSettings(File({{key, kOther}}));
      if (row.otherwise == ForeignSetting::Otherwise::kRefuse) {
        EXPECT_EQ(ErrorOf({{key, kOther}}),
                  fmt::format("{}cannot be served: {}", said, row.reason));
      } else if (row.otherwise == ForeignSetting::Otherwise::kWarn) {
        EXPECT_EQ(Load({{key, kOther}}).warnings,
                  Texts{fmt::format("{}has no effect: {}", said, row.reason)});
      } else {
        EXPECT_EQ(Load({{key, kOther}}).warnings, Texts{});
      }
    }
  }
}

TEST(ForeignSettingsTest, ValuesThatAskForNothingAreSilent) {
  for (const ForeignSetting* row : AllRows()) {
    const std::string_view natural = row->natural.substr(0, row->natural.find(' '));
    if (natural.empty()) continue;
    SettingSources sources;
    sources.environment[std::string(row->property)] = natural;
    if (row->property.find('.') != std::string_view::npos || islower(row->property[0]) != 0) {
      sources = File({{std::string(row->property), std::string(natural)}});
    }
    const auto loaded = LoadSettings(sources);
    ASSERT_TRUE(loaded.ok()) << loaded.status().message();
    EXPECT_EQ(loaded->warnings, Texts{}) << row->property;
  }
}

// Only what would be served otherwise than it was asked for is refused.
TEST(ForeignSettingsTest, FewKeysAreRefused) {
  std::set<std::string_view> refused;
  for (const ForeignSetting* row : AllRows()) {
    if (row->otherwise == ForeignSetting::Otherwise::kRefuse) refused.insert(row->property);
  }
  for (const char* key : {"option.enable_lora", "option.handler", "option.s3url"}) {
    EXPECT_EQ(refused.count(key), 1U) << key;
  }
  EXPECT_LT(refused.size(), 20U);
}

TEST(ForeignSettingsTest, ArgumentsOfVllmThatStoppedTheStart) {
  const LoadedSettings loaded =
      Load({{"engine", "Rubikon"},
            {"option.enable_prefix_caching", "true"},
            {"option.enable_chunked_prefill", "true"},
            {"option.tokenizer_mode", "auto"},
            {"option.disable_sliding_window", "false"},
            {"option.cpu_offload_gb_per_gpu", "0"},
            {"option.record_acceptance_rate", "true"},
            {"option.max_num_batched_tokens", "1024"},
            {"option.quantization", "awq"},
            {"option.entryPoint", "djl_python.lmi_vllm.vllm_async_service"}});
  EXPECT_EQ(loaded.warnings,
            (Texts{"serving.properties: option.record_acceptance_rate is \"true\", which has no "
                   "effect: the log says at the end how many guesses were right",
                   "serving.properties: option.enable_prefix_caching is \"true\", which has no "
                   "effect: prompts are computed anew"}));
  EXPECT_EQ(loaded.notes,
            Texts{"engine=Rubikon, option.entryPoint=djl_python.lmi_vllm.vllm_async_service: "
                  "dray's own engine serves with the same options"});
  EXPECT_EQ(loaded.settings.model.max_rolling_batch_prefill_tokens, 1024);
  EXPECT_EQ(loaded.settings.model.quantization.method, QuantizationMethod::kAwq);
  EXPECT_TRUE(loaded.settings.model.has_built_in_handler);
}

TEST(ForeignSettingsTest, EnginesOfThePastAreDrays) {
  for (const char* engine :
       {"Python", "MPI", "DeepSpeed", "FasterTransformer", "Rubikon", "python", "mpi"}) {
    EXPECT_EQ(
        Load({{"engine", engine}}).notes,
        Texts{fmt::format("engine={}: dray's own engine serves with the same options", engine)});
  }
  for (const char* batch : {"auto", "vllm", "trtllm", "lmi-dist", "scheduler", "disable"}) {
    const LoadedSettings loaded = Load({{"option.rolling_batch", batch}});
    EXPECT_EQ(loaded.notes, Texts{fmt::format("option.rolling_batch={}: dray's own engine serves "
                                              "with the same options",
                                              batch)});
    EXPECT_EQ(loaded.warnings, Texts{});
  }
  EXPECT_EQ(ErrorOf({{"option.rolling_batch", "sglang"}}),
            "serving.properties: option.rolling_batch is \"sglang\", which cannot be served: it "
            "must be one of auto, vllm, trtllm, lmi-dist, scheduler, disable; dray has one engine "
            "for all");
  EXPECT_EQ(Load({}).notes, Texts{});
}

TEST(ForeignSettingsTest, BuiltInHandlersInAnySpelling) {
  for (const char* handler :
       {"djl_python.huggingface", "djl_python.deepspeed", "djl_python.fastertransformer",
        "djl_python.transformers-neuronx", "djl_python.transformers_neuronx", "huggingface",
        "djl_python.tensorrt_llm", "djl_python.lmi_trtllm.trtllm_async_service",
        "DJL_PYTHON.HuggingFace"}) {
    EXPECT_TRUE(IsBuiltInHandler(handler)) << handler;
    EXPECT_TRUE(Load({{"option.entryPoint", handler}}).settings.model.has_built_in_handler);
  }
  for (const char* handler : {"model.py", "huggingface.py", "djl_python", "my.module", "",
                              "djl_python.stable-diffusion", "http://a/model.py"}) {
    EXPECT_FALSE(IsBuiltInHandler(handler)) << handler;
    EXPECT_NE(ErrorOf({{"option.entryPoint", handler}}), "") << handler;
  }
}

TEST(ForeignSettingsTest, NearestValuesAreUsedWithAWarning) {
  const LoadedSettings loaded = Load({{"option.quantize", "bitsandbytes8"}});
  EXPECT_EQ(loaded.settings.model.quantization.method, QuantizationMethod::kInt8WeightOnly);
  EXPECT_EQ(loaded.warnings,
            Texts{"serving.properties: option.quantize is \"bitsandbytes8\", which dray does not "
                  "have; option.quantize=int8_weight_only is used in its place"});
  EXPECT_EQ(Load({{"option.load_in_4bit", "true"}}).settings.model.quantization.method,
            QuantizationMethod::kInt4Asymmetric);
  EXPECT_EQ(Load({{"option.load_in_8bit", "false"}}).warnings, Texts{});
  EXPECT_EQ(Load({{"option.kv_cache_dtype", "fp8"}}).settings.model.kv_cache_dtype, DType::kI8);
  EXPECT_EQ(ErrorOf({{"option.load_in_8bit", "true"}, {"option.load_in_4bit", "true"}}),
            "serving.properties: option.load_in_4bit is \"int4_asym\", but serving.properties: "
            "option.load_in_8bit is \"int8_weight_only\"; they mean the same; remove one");
}

TEST(ForeignSettingsTest, EveryTranslationIsASetting) {
  for (const Translation& translation : Translations()) {
    EXPECT_EQ(FindTranslation(translation.to_property, translation.to_value), nullptr);
    const LoadedSettings loaded =
        Load({{std::string(translation.property), std::string(translation.value)}});
    EXPECT_EQ(loaded.warnings.size(), 1U) << translation.property << " " << translation.value;
  }
}

TEST(ForeignSettingsTest, PairsThatExcludeEachOther) {
  const std::string file = "serving.properties: ";
  EXPECT_EQ(ErrorOf({{"max_dynamic_batch_size", "2"}, {"option.enable_streaming", "true"}}),
            file + "max_dynamic_batch_size is \"2\" and " + file +
                "option.enable_streaming is \"true\": a dynamic batch cannot be streamed; remove "
                "batch_size");
  EXPECT_EQ(ErrorOf({{"option.async_mode", "true"}, {"option.rolling_batch", "vllm"}}),
            file + "option.async_mode is \"true\" and " + file +
                "option.rolling_batch is \"vllm\": asynchronous mode and a rolling batch exclude "
                "each other; remove option.rolling_batch");
  EXPECT_EQ(ErrorOf({{"option.lmcache_auto_config", "true"}, {"maxWorkers", "2"}}),
            file + "option.lmcache_auto_config is \"true\" and " + file +
                "maxWorkers is \"2\": the cache's size is for one worker; set maxWorkers to 1");
  EXPECT_EQ(Load({{"batch_size", "2"}, {"option.rolling_batch", "disable"}}).warnings, Texts{});
  EXPECT_EQ(ErrorOf({{"batch_size", "1"}, {"option.rolling_batch", "vllm"}}), "");
  EXPECT_EQ(ErrorOf({{"option.async_mode", "true"}, {"option.rolling_batch", "disable"}}), "");
}

// As in DJLServing, a dynamic batch switches the rolling batch off.
TEST(ForeignSettingsTest, ADynamicBatchGoesOverARollingBatch) {
  for (const char* batch : {"auto", "vllm", "lmi-dist", "scheduler"}) {
    const LoadedSettings loaded =
        Load({{"engine", "DeepSpeed"}, {"batch_size", "2"}, {"option.rolling_batch", batch}});
    EXPECT_EQ(loaded.settings.model.batch_size, 2);
    // Not that of a rolling batch.
    EXPECT_EQ(loaded.settings.model.answer_shape, AnswerShape::kList) << batch;
    EXPECT_EQ(
        loaded.warnings,
        Texts{fmt::format("serving.properties: batch_size is \"2\" and serving.properties: "
                          "option.rolling_batch is \"{}\": requests are batched dynamically, "
                          "batch_size at a time, and option.rolling_batch is taken for disable",
                          batch)});
  }
}

TEST(ForeignSettingsTest, ATypoIsAnErrorIfAKeyIsNear) {
  EXPECT_EQ(ErrorOf({{"option.tensor_paralel_degree", "1"}}),
            "serving.properties: option.tensor_paralel_degree is no setting that dray knows; did "
            "you mean option.tensor_parallel_degree?");
  EXPECT_EQ(ErrorOf({{"option.gpu_memory_utilisation", "0.9"}}),
            "serving.properties: option.gpu_memory_utilisation is no setting that dray knows; did "
            "you mean option.gpu_memory_utilization?");
  EXPECT_EQ(Load({{"option.key_of_next_year", "1"}}).warnings,
            Texts{"serving.properties: option.key_of_next_year is no setting that dray knows; it "
                  "has no effect"});
  EXPECT_EQ(Load({{"option.my", "1"}}).warnings.size(), 1U);
}

}  // namespace
}  // namespace dray::settings
