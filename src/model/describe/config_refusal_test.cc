// Which configurations are refused, with which key in the message, and which only cause a warning.
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>

#include "base/log.h"
#include "model/config/config_keys.h"
#include "model/forward/rope.h"
#include "model/testing/config_testing.h"

namespace dray::model {
namespace {

struct RefusalCase {
  std::string_view base;
  std::string_view changes;
  std::string_view expected;  // must be part of the message
};

class RefusalTest : public testing::TestWithParam<RefusalCase> {};

TEST_P(RefusalTest, NamesFileAndKey) {
  const auto model = Describe(With(GetParam().base, GetParam().changes));
  ASSERT_FALSE(model.ok()) << GetParam().changes;
  const std::string& message = model.status().message();
  EXPECT_NE(message.find("config.json"), std::string::npos) << message;
  EXPECT_NE(message.find(GetParam().expected), std::string::npos) << message;
}

INSTANTIATE_TEST_SUITE_P(
    Sizes, RefusalTest,
    testing::Values(
        RefusalCase{kGpt2Json, R"({"vocab_size": 0})", "vocab_size is 0"},
        RefusalCase{kGpt2Json, R"({"vocab_size": 2000001})", "vocab_size"},
        RefusalCase{kGpt2Json, R"({"vocab_size": "50257"})", "vocab_size"},
        RefusalCase{kGpt2Json, R"({"vocab_size": true})", "vocab_size"},
        RefusalCase{kGpt2Json, R"({"n_embd": 0})", "n_embd is 0"},
        RefusalCase{kGpt2Json, R"({"n_embd": -768})", "n_embd"},
        RefusalCase{kGpt2Json, R"({"n_embd": 1e18})", "n_embd"},
        RefusalCase{kGpt2Json, R"({"n_embd": 768.5})", "n_embd"},
        RefusalCase{kGpt2Json, R"({"n_embd": 769})", "n_head is 12: 12 heads do not divide"},
        RefusalCase{kGpt2Json, R"({"hidden_size": 1024})", "hidden_size is 1024: n_embd"},
        RefusalCase{kGpt2Json, R"({"n_layer": 0})", "n_layer"},
        RefusalCase{kGpt2Json, R"({"n_layer": 5000})", "n_layer"},
        RefusalCase{kGpt2Json, R"({"n_head": 0})", "n_head"},
        RefusalCase{kGpt2Json, R"({"n_head": 13})", "n_head"},
        RefusalCase{kGpt2Json, R"({"n_positions": 0})", "n_positions"},
        RefusalCase{kGpt2Json, R"({"n_positions": 1e10})", "n_positions"},
        RefusalCase{kGpt2Json, R"({"n_inner": 0})", "n_inner"},
        RefusalCase{kGpt2Json, R"({"layer_norm_epsilon": -1e-5})", "layer_norm_epsilon"},
        RefusalCase{kGpt2Json, R"({"layer_norm_epsilon": "tiny"})", "layer_norm_epsilon"},
        RefusalCase{kGpt2Json, R"({"scale_attn_weights": 1})", "scale_attn_weights"},
        RefusalCase{kGpt2Json, R"({"tie_word_embeddings": "yes"})", "tie_word_embeddings"},
        RefusalCase{kOpt125mJson, R"({"ffn_dim": 0})", "ffn_dim"},
        RefusalCase{kOpt125mJson, R"({"word_embed_proj_dim": 0})", "word_embed_proj_dim"},
        RefusalCase{kOpt125mJson, R"({"max_position_embeddings": -1})", "max_position_embeddings"},
        RefusalCase{kGptJ6bJson, R"({"rotary_dim": 63})", "rotary_dim is 63"},
        RefusalCase{kGptJ6bJson, R"({"rotary_dim": 0})", "rotary_dim"},
        RefusalCase{kGptJ6bJson, R"({"rotary_dim": 258})", "rotary_dim"},
        RefusalCase{kGptNeo1_3bJson, R"({"num_layers": 23})", "attention_types"},
        RefusalCase{kGptNeo1_3bJson, R"({"window_size": 0})", "window_size"},
        RefusalCase{kGptNeo1_3bJson, R"({"attention_types": "global"})", "attention_types"},
        RefusalCase{kGptNeo1_3bJson, R"({"attention_types": [["global", 24]]})",
                    "the names of layers must be lists"},
        RefusalCase{kGptNeo1_3bJson, R"({"attention_types": [[["global"], 4097]]})",
                    "at most num_layers (24)"},
        RefusalCase{kGptNeo1_3bJson, R"({"attention_types": [[["sparse"], 24]]})",
                    "global and local"},
        RefusalCase{kPythia1_4bJson, R"({"rotary_pct": 0})", "rotary_pct"},
        RefusalCase{kPythia1_4bJson, R"({"rotary_pct": 1.5})", "rotary_pct"},
        RefusalCase{kPythia1_4bJson, R"({"rotary_emb_base": 0})", "rotary_emb_base"},
        RefusalCase{kPythia1_4bJson, R"({"intermediate_size": -4})", "intermediate_size"},
        RefusalCase{kBloom560mJson, R"({"n_embed": 0})", "n_embed"},
        RefusalCase{kBloom560mJson, R"({"seq_length": 0})", "seq_length"},
        RefusalCase{kLlama2Json, R"({"num_key_value_heads": 0})", "num_key_value_heads"},
        RefusalCase{kLlama2Json, R"({"num_key_value_heads": 5})", "num_key_value_heads is 5"},
        RefusalCase{kLlama2Json, R"({"num_key_value_heads": 64})", "num_key_value_heads"},
        RefusalCase{kLlama2Json, R"({"head_dim": 127})", "a whole head must be even"},
        RefusalCase{kLlama2Json, R"({"head_dim": 0})", "head_dim"},
        RefusalCase{kLlama2Json, R"({"rope_theta": 1.0})", "rope_theta"},
        RefusalCase{kLlama2Json, R"({"rope_theta": -5})", "rope_theta"},
        RefusalCase{kLlama2Json, R"({"partial_rotary_factor": 0.5})", "partial_rotary_factor"},
        RefusalCase{kMistral01Json, R"({"sliding_window": 0})", "sliding_window"},
        RefusalCase{kQwen3Json, R"({"layer_types": ["full_attention"]})", "layer_types"}));

INSTANTIATE_TEST_SUITE_P(
    Rope, RefusalTest,
    testing::Values(
        RefusalCase{kLlama2Json, R"({"rope_scaling": {"type": "longrope", "factor": 2}})",
                    "type is \"longrope\""},
        RefusalCase{kLlama2Json, R"({"rope_scaling": {"type": "su"}})", "\"su\""},
        RefusalCase{kLlama2Json, R"({"rope_parameters": {"rope_type": "mrope"}})",
                    "config.json: rope_parameters: rope_type is \"mrope\""},
        RefusalCase{kLlama2Json, R"({"rope_scaling": {"mrope_section": [1]}})", "mrope_section"},
        RefusalCase{kLlama2Json, R"({"rope_scaling": "linear"})", "rope_scaling"},
        RefusalCase{kLlama2Json, R"({"rope_scaling": {"type": "linear"}})", "factor is missing"},
        RefusalCase{kLlama2Json, R"({"rope_scaling": {"type": "linear", "factor": 0}})", "factor"},
        RefusalCase{kLlama2Json, R"({"rope_scaling": {"type": "dynamic", "factor": 0.5}})",
                    "factor"},
        RefusalCase{kLlama2Json,
                    R"({"rope_scaling": {"type": "dynamic", "factor": 2}, "head_dim": 2})",
                    "more than two"},
        RefusalCase{kLlama2Json, R"({"rope_scaling": {"rope_type": "llama3", "factor": 8}})",
                    "low_freq_factor"},
        RefusalCase{kLlama2Json,
                    R"({"rope_scaling": {"rope_type": "llama3", "factor": 8, "low_freq_factor": 4,
                        "high_freq_factor": 4}})",
                    "high_freq_factor"},
        RefusalCase{kLlama2Json,
                    R"({"rope_scaling": {"type": "yarn", "factor": 4, "beta_fast": 1,
                        "beta_slow": 2}})",
                    "beta_fast"},
        RefusalCase{kLlama2Json,
                    R"({"rope_scaling": {"type": "yarn", "factor": 4,
                        "original_max_position_embeddings": 0}})",
                    "original_max_position_embeddings"},
        RefusalCase{kLlama2Json,
                    R"({"rope_parameters": {"full_attention": {"rope_type": "default"}}})",
                    "full_attention"}));

INSTANTIATE_TEST_SUITE_P(
    Features, RefusalTest,
    testing::Values(
        RefusalCase{kGpt2Json, R"({"model_type": "longt5"})",
                    "model_type is \"longt5\": dray serves bert"},
        RefusalCase{kGpt2Json, R"({"model_type": null})", "model_type"},
        RefusalCase{kGpt2Json, R"({"activation_function": "quick_gelu"})", "quick_gelu"},
        RefusalCase{kGpt2Json, R"({"add_cross_attention": true})", "add_cross_attention"},
        RefusalCase{kGpt2Json, R"({"is_encoder_decoder": true})", "is_encoder_decoder"},
        RefusalCase{kGpt2Json, R"({"pruned_heads": {"1": [0]}})", "pruned_heads"},
        RefusalCase{kGpt2Json, R"({"architectures": ["GPT2ForSequenceClassification"]})",
                    "GPT2ForSequenceClassification"},
        RefusalCase{kGpt2Json, R"({"architectures": "GPT2LMHeadModel"})", "architectures"},
        RefusalCase{kGpt2Json, R"({"eos_token_id": "</s>"})", "eos_token_id"},
        RefusalCase{kGpt2Json, R"({"eos_token_id": [1, 3000000000]})", "eos_token_id"},
        RefusalCase{kGptJ6bJson, R"({"rotary": false})", "rotary is false"},
        RefusalCase{kGptJ6bJson, R"({"scale_attn_weights": false})", "scale_attn_weights"},
        RefusalCase{kLlama2Json, R"({"quantization_config": {"quant_method": "bitsandbytes"}})",
                    "float checkpoint"},
        RefusalCase{kLlama2Json, R"({"quantization_config": {"quant_method": "gptq"}})", "bits"},
        RefusalCase{kLlama2Json, R"({"quantization_config": {"quant_method": "gptq", "bits": 3}})",
                    "quantization_config: bits is 3: of GPTQ weights"},
        RefusalCase{kLlama2Json, R"({"quantization_config": {"quant_method": "gptq", "bits": 4}})",
                    "group_size is missing"},
        RefusalCase{kLlama2Json, R"({"quantization_config": {"quant_method": "gptq", "bits": 4,
                                     "group_size": 0}})",
                    "group_size is 0"},
        RefusalCase{kLlama2Json, R"({"quantization_config": {"quant_method": "gptq", "bits": 4,
                                     "group_size": 128, "checkpoint_format": "marlin"}})",
                    "checkpoint_format is \"marlin\""},
        RefusalCase{kLlama2Json, R"({"quantization_config": {"quant_method": "gptq", "bits": 4,
                                     "group_size": 128, "dynamic": {"-:lm_head": {}}}})",
                    "dynamic"},
        RefusalCase{kLlama2Json, R"({"quantization_config": {"quant_method": "awq", "bits": 8}})",
                    "bits is 8: of AWQ weights"},
        RefusalCase{kLlama2Json, R"({"quantization_config": {"quant_method": "awq", "bits": 4,
                                     "group_size": 128, "version": "gemv"}})",
                    "version is \"gemv\""},
        RefusalCase{kLlama2Json, R"({"quantization_config": 4})", "must be an object"},
        RefusalCase{kLlama2Json, R"({"num_local_experts": 8})", "num_local_experts"},
        RefusalCase{kQwen3Json, R"({"num_experts": 64})", "num_experts"},
        RefusalCase{kLlama2Json, R"({"attn_logit_softcapping": 50.0})", "attn_logit_softcapping"},
        RefusalCase{kMistral01Json, R"({"layer_types": ["full_attention"]})", "layer_types"},
        RefusalCase{kQwen25Json, R"({"use_mrope": true})", "use_mrope"}));

TEST(ConfigRefusalTest, TheFileMustBeAnObject) {
  EXPECT_FALSE(Describe(MustParse("[]")).ok());
  EXPECT_FALSE(DescribeModel("", MustParse(kGpt2Json), MustParse("[]")).ok());
}

// Base models and other heads over the same stack pass this check: their weights decide.
TEST(ConfigRefusalTest, LanguageModelArchitecturesPass) {
  EXPECT_TRUE(Describe(With(kGpt2Json, R"({"architectures": ["GPT2Model"]})")).ok());
  EXPECT_TRUE(Describe(With(kGpt2Json, R"({"architectures": null})")).ok());
}

TEST(ConfigRefusalTest, NullsAndNeutralValuesPass) {
  EXPECT_TRUE(Describe(With(kGpt2Json, R"({"quantization_config": null, "num_experts": null,
      "add_cross_attention": false, "pruned_heads": {}})"))
                  .ok());
}

constexpr std::string_view kPublished[] = {
    kGpt2Json,      kOpt125mJson,   kOpt350mJson,   kGptJ6bJson,    kPythia1_4bJson,
    kNeox20bJson,   kBloom560mJson, kLlama2Json,    kLlama31Json,   kLlama32Json,
    kTinyLlamaJson, kMistral01Json, kMistral03Json, kQwen25Json,    kQwen3Json,
    kT5SmallJson,   kFlanT5XxlJson, kMt5SmallJson,  kGptNeo1_3bJson};

// Sets every key of every configuration, and every rope parameter, to values that no reader
// expects. The result must be a model, or an error that names the file.
TEST(ConfigRefusalTest, AnyValueIsAModelOrAnError) {
  const Json values =
      MustParse(R"([null, true, -1, 0, 1, 3, 0.5, 1e-310, 1e308, 9000000000000000000,
      "", "yarn", "dynamic", [], [null], {}, {"type": "yarn", "factor": 1e6, "beta_fast": 1e-310,
      "mscale": 1e308, "mscale_all_dim": 1e308}, {"rope_type": "dynamic", "factor": 1e300},
      {"rope_type": "llama3", "factor": 1, "low_freq_factor": 1e-6, "high_freq_factor": 1e6}])");
  SetLogLevel(LogLevel::kOff);
  for (const std::string_view text : kPublished) {
    Json base = MustParse(text);
    for (const char* key : {"rope_scaling", "rope_parameters", "head_dim", "layer_types"}) {
      if (base.Find(key) == nullptr) base.Set(key, nullptr);
    }
    for (const auto& [key, old] : *base.AsObject()) {
      for (const Json& value : *values.AsArray()) {
        Json changed = base;
        changed.Set(key, value);
        const auto model = Describe(changed);
        if (!model.ok()) {
          EXPECT_TRUE(model.status().message().starts_with("config.json")) << key;
          continue;
        }
        const ModelConfig& config = model->config;
        EXPECT_EQ(config.stack.num_heads % config.stack.num_kv_heads, 0) << key;
        EXPECT_LE(config.stack.rope.dim, config.stack.head_dim) << key;
        if (config.stack.position == PositionKind::kRotary) {
          for (const float frequency :
               InverseFrequencies(config.stack.rope, config.stack.max_positions)) {
            EXPECT_TRUE(std::isfinite(frequency)) << key << " " << value.Dump();
          }
        }
      }
    }
  }
  SetLogLevel(LogLevel::kWarning);
}

TEST(ConfigRefusalTest, UnknownKeysAreWarnedOf) {
  testing::internal::CaptureStderr();
  ASSERT_TRUE(Describe(With(kLlama2Json, R"({"surprise": 1, "nothing": null, "_note": 1,
      "rope_scaling": {"type": "linear", "factor": 2.0, "twist": 3}})"))
                  .ok());
  const std::string log = testing::internal::GetCapturedStderr();
  EXPECT_NE(log.find("surprise, rope_scaling.twist"), std::string::npos) << log;
  EXPECT_EQ(log.find("nothing"), std::string::npos) << log;
  EXPECT_EQ(log.find("_note"), std::string::npos) << log;
}

TEST(ConfigRefusalTest, PublishedConfigurationsAreQuiet) {
  testing::internal::CaptureStderr();
  for (const std::string_view text : kPublished) {
    EXPECT_TRUE(Describe(MustParse(text)).ok()) << text;
  }
  EXPECT_EQ(testing::internal::GetCapturedStderr(), "");
}

TEST(ConfigRefusalTest, HarmlessKeysAreSorted) {
  EXPECT_TRUE(std::is_sorted(kHarmlessKeys.begin(), kHarmlessKeys.end()));
}

}  // namespace
}  // namespace dray::model
