// The settings of speculation as they are written for dray, for LMI and for vLLM.
#include "settings/speculation_settings.h"

#include <gtest/gtest.h>

#include <string>

#include "settings/load_settings.h"

namespace dray::settings {
namespace {

using Method = engine::SpeculationMethod;

Result<LoadedSettings> Load(Properties properties) {
  SettingSources sources;
  sources.serving_properties = std::move(properties);
  return LoadSettings(sources);
}

engine::SpeculationOptions Options(Properties properties) {
  const auto loaded = Load(std::move(properties));
  EXPECT_TRUE(loaded.ok()) << loaded.status().message();
  if (!loaded.ok()) return {};
  const auto options = MakeSpeculation(loaded->settings.model.speculation);
  EXPECT_TRUE(options.ok()) << options.status().message();
  return options.ok() ? *options : engine::SpeculationOptions();
}

std::string Error(Properties properties) {
  const auto loaded = Load(std::move(properties));
  return loaded.ok() ? "" : loaded.status().message();
}

TEST(SpeculationSettingsTest, NoneUnlessAskedFor) {
  EXPECT_EQ(Options({}).method, Method::kNone);
  EXPECT_EQ(
      Options({{"option.speculative_method", "none"}, {"option.speculative_draft_model", "small"}})
          .method,
      Method::kNone);
}

TEST(SpeculationSettingsTest, EverySpellingOfADraftModel) {
  for (const char* key :
       {"option.speculative_draft_model", "option.draft_model_id", "option.speculative_model"}) {
    const auto loaded = Load({{key, "/models/small"}, {"option.speculative_length", "5"}});
    ASSERT_TRUE(loaded.ok()) << loaded.status().message();
    EXPECT_EQ(loaded->settings.model.speculation.draft_model, "/models/small");
    const auto options = MakeSpeculation(loaded->settings.model.speculation);
    EXPECT_EQ(options->method, Method::kDraftModel);
    EXPECT_EQ(options->max_drafts, 5);
  }
  const auto config = Load({{"option.speculative_config",
                             R"({"model": "small", "num_speculative_tokens": 3,
                                 "draft_tensor_parallel_size": 1})"}});
  ASSERT_TRUE(config.ok()) << config.status().message();
  EXPECT_EQ(config->settings.model.speculation.draft_model, "small");
  EXPECT_EQ(MakeSpeculation(config->settings.model.speculation)->max_drafts, 3);
}

TEST(SpeculationSettingsTest, EverySpellingOfPromptLookup) {
  for (const Properties& properties :
       {Properties{{"option.speculative_method", "ngram"},
                   {"option.num_speculative_tokens", "7"},
                   {"option.prompt_lookup_max", "3"},
                   {"option.prompt_lookup_min", "2"}},
        Properties{{"option.speculative_model", "[ngram]"},
                   {"option.num_speculative_tokens", "7"},
                   {"option.ngram_prompt_lookup_max", "3"},
                   {"option.ngram_prompt_lookup_min", "2"}},
        Properties{{"option.speculative_config",
                    R"({"method": "ngram", "num_speculative_tokens": 7, "prompt_lookup_max": 3,
                        "prompt_lookup_min": 2})"}}}) {
    const auto options = Options(properties);
    EXPECT_EQ(options.method, Method::kPromptLookup);
    EXPECT_EQ(options.max_drafts, 7);
    EXPECT_EQ(options.lookup_max, 3);
    EXPECT_EQ(options.lookup_min, 2);
  }
}

TEST(SpeculationSettingsTest, RefusesWhatCannotBe) {
  EXPECT_EQ(Error({{"option.speculative_method", "eagle"}}),
            "serving.properties: option.speculative_method is \"eagle\"; it must be one of auto, "
            "none, ngram, draft_model");
  EXPECT_EQ(Error({{"option.speculative_method", "draft_model"}}),
            "speculative_method is draft_model, but speculative_draft_model names none");
  EXPECT_EQ(Error({{"option.speculative_method", "ngram"}, {"option.draft_model_id", "small"}}),
            "speculative_method is ngram, which needs no model, but speculative_draft_model is "
            "\"small\"; remove one of the two");
  EXPECT_EQ(Error({{"option.prompt_lookup_min", "5"}}),
            "prompt_lookup_min is 5, but prompt_lookup_max is 4: lower the first or raise the "
            "second");
  EXPECT_NE(Error({{"option.num_speculative_tokens", "-1"}}), "");
  EXPECT_NE(Error({{"option.speculative_draft_dtype", "int3"}}), "");
  const auto config = [](const char* text) { return Error({{"option.speculative_config", text}}); };
  for (const char* text : {"", "ngram", "[]", "{", "{\"method\": 3}", "{\"model\": \"\"}",
                           "{\"method\": \"medusa\"}", "{\"num_speculative_tokens\": 0}",
                           "{\"num_speculative_tokens\": 1e300}", "{\"prompt_lookup_max\": 1.5}",
                           "{\"prompt_lookup_max\": 2000}", "{\"prompt_lookup_min\": \"2\"}",
                           "{\"draft_tensor_parallel_size\": 2}", "{\"quantization\": \"fp8\"}"}) {
    EXPECT_NE(config(text), "") << text;
  }
  EXPECT_NE(config("{\"quantization\": \"fp8\"}").find("\"quantization\" is \"fp8\""),
            std::string::npos);
}

}  // namespace
}  // namespace dray::settings
