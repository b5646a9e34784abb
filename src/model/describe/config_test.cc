// The configurations that published config.json files resolve to, family by family.
#include <gtest/gtest.h>

#include <cmath>
#include <filesystem>
#include <fstream>

#include "model/testing/config_testing.h"

namespace dray::model {
namespace {

using Ids = std::vector<int32_t>;

// The smallest configuration of a family; all other keys have the family's default.
Json Bare(std::string_view model_type) {
  return Json::MakeObject({{"model_type", Json(model_type)}});
}

std::vector<int64_t> Sizes(const ModelConfig& c) {
  return {c.vocab_size,       c.stack.hidden,    c.embed_dim,
          c.stack.num_layers, c.stack.num_heads, c.stack.num_kv_heads,
          c.stack.head_dim,   c.stack.ffn,       c.stack.max_positions};
}

TEST(ConfigTest, Gpt2) {
  const ModelConfig config = MustRead(kGpt2Json);
  EXPECT_EQ(config.family, "gpt2");
  EXPECT_EQ(Sizes(config), (std::vector<int64_t>{50257, 768, 768, 12, 12, 12, 64, 3072, 1024}));
  EXPECT_EQ(config.stack.norm, NormKind::kLayerNorm);
  EXPECT_EQ(config.stack.norm_eps, 1e-5f);
  EXPECT_EQ(config.stack.norm_placement, NormPlacement::kPre);
  EXPECT_EQ(config.stack.residual, ResidualForm::kSequential);
  EXPECT_EQ(config.stack.position, PositionKind::kLearned);
  EXPECT_EQ(config.stack.position_offset, 0);
  EXPECT_EQ(config.stack.activation, Activation::kGeluTanh);
  EXPECT_TRUE(config.stack.qkv_bias && config.stack.attention_out_bias && config.stack.ffn_bias);
  EXPECT_TRUE(config.tied_head);
  EXPECT_FALSE(config.head_bias);
  EXPECT_FALSE(config.stack.gated);
  EXPECT_EQ(config.stack.attention_scale, std::vector<float>(12, 0.125f));
  EXPECT_EQ(config.stack.window, std::vector<int64_t>(12, 0));
  EXPECT_EQ(config.eos_token_ids, Ids{50256});
  EXPECT_EQ(config.bos_token_id, 50256);
  EXPECT_FALSE(config.dtype.has_value());
}

TEST(ConfigTest, Gpt2DefaultsAreTheSmallModel) {
  EXPECT_EQ(MustRead(Bare("gpt2")), MustRead(kGpt2Json));
}

TEST(ConfigTest, Gpt2AttentionScales) {
  const auto by_layer = MustRead(With(
      kGpt2Json, R"({"scale_attn_by_inverse_layer_idx": true, "reorder_and_upcast_attn": true})"));
  EXPECT_EQ(by_layer.stack.attention_scale[0], 0.125f);
  EXPECT_EQ(by_layer.stack.attention_scale[2], static_cast<float>(0.125 / 3.0));
  const auto unscaled = MustRead(With(kGpt2Json, R"({"scale_attn_weights": false})"));
  EXPECT_EQ(unscaled.stack.attention_scale, std::vector<float>(12, 1.0f));
  const auto both = MustRead(
      With(kGpt2Json, R"({"scale_attn_weights": false, "scale_attn_by_inverse_layer_idx": true})"));
  EXPECT_EQ(both.stack.attention_scale[3], 0.25f);
}

TEST(ConfigTest, Gpt2Synonyms) {
  const auto config =
      MustRead(MustParse(R"({"model_type": "gpt2", "hidden_size": 64, "num_hidden_layers": 3,
      "num_attention_heads": 4, "max_position_embeddings": 99, "n_inner": 100, "vocab_size": 10})"));
  EXPECT_EQ(Sizes(config), (std::vector<int64_t>{10, 64, 64, 3, 4, 4, 16, 100, 99}));
}

TEST(ConfigTest, Opt) {
  const ModelConfig small = MustRead(kOpt125mJson);
  EXPECT_EQ(Sizes(small), (std::vector<int64_t>{50272, 768, 768, 12, 12, 12, 64, 3072, 2048}));
  EXPECT_EQ(small.stack.norm_placement, NormPlacement::kPre);
  EXPECT_TRUE(small.stack.final_norm);
  EXPECT_EQ(small.stack.position, PositionKind::kLearned);
  EXPECT_EQ(small.stack.position_offset, 2);
  EXPECT_EQ(small.stack.activation, Activation::kRelu);
  EXPECT_EQ(small.dtype, DType::kF16);
  EXPECT_EQ(small.eos_token_ids, Ids{2});
  const ModelConfig odd = MustRead(kOpt350mJson);
  EXPECT_EQ(Sizes(odd), (std::vector<int64_t>{50272, 1024, 512, 24, 16, 16, 64, 4096, 2048}));
  EXPECT_EQ(odd.stack.norm_placement, NormPlacement::kPost);
  EXPECT_FALSE(odd.stack.final_norm);
  EXPECT_EQ(odd.stack.norm_eps, 1e-5f);
}

TEST(ConfigTest, OptSwitches) {
  const auto config = MustRead(With(
      kOpt125mJson,
      R"({"enable_bias": false, "layer_norm_elementwise_affine": false, "_remove_final_layer_norm": true,
          "word_embed_proj_dim": null, "activation_function": "gelu"})"));
  EXPECT_FALSE(config.stack.qkv_bias || config.stack.attention_out_bias || config.stack.ffn_bias);
  EXPECT_FALSE(config.stack.norm_affine || config.stack.norm_bias || config.stack.final_norm);
  EXPECT_EQ(config.embed_dim, config.stack.hidden);
  EXPECT_EQ(config.stack.activation, Activation::kGelu);
}

TEST(ConfigTest, GptJ) {
  const ModelConfig config = MustRead(kGptJ6bJson);
  EXPECT_EQ(Sizes(config), (std::vector<int64_t>{50400, 4096, 4096, 28, 16, 16, 256, 16384, 2048}));
  EXPECT_EQ(config.stack.residual, ResidualForm::kParallelOneNorm);
  EXPECT_EQ(config.stack.rope.style, RopeStyle::kInterleaved);
  EXPECT_EQ(config.stack.rope.dim, 64);
  EXPECT_EQ(config.stack.rope.exponent_dim, 64);
  EXPECT_EQ(config.stack.rope.base, 10000.0);
  EXPECT_FALSE(config.stack.qkv_bias || config.stack.attention_out_bias);
  EXPECT_TRUE(config.stack.ffn_bias && config.head_bias);
  EXPECT_FALSE(config.tied_head);
  EXPECT_EQ(config.stack.attention_scale[27], 0.0625f);
  EXPECT_EQ(MustRead(Bare("gptj")), config);
}

TEST(ConfigTest, GptJNullRotatesWholeHeads) {
  EXPECT_EQ(MustRead(With(kGptJ6bJson, R"({"rotary_dim": null})")).stack.rope.dim, 256);
}

TEST(ConfigTest, GptNeo) {
  const ModelConfig config = MustRead(kGptNeo1_3bJson);
  EXPECT_EQ(Sizes(config), (std::vector<int64_t>{50257, 2048, 2048, 24, 16, 16, 128, 8192, 2048}));
  EXPECT_EQ(config.stack.position, PositionKind::kLearned);
  EXPECT_EQ(config.stack.residual, ResidualForm::kSequential);
  EXPECT_EQ(config.stack.activation, Activation::kGeluTanh);
  EXPECT_FALSE(config.stack.qkv_bias);
  EXPECT_TRUE(config.stack.attention_out_bias && config.stack.ffn_bias && config.tied_head);
  EXPECT_EQ(config.stack.attention_scale, std::vector<float>(24, 1.0F));
  for (size_t layer = 0; layer < 24; ++layer) {
    EXPECT_EQ(config.stack.window[layer], layer % 2 == 0 ? 0 : 256);
  }
  EXPECT_EQ(MustRead(Bare("gpt_neo")), config);
}

TEST(ConfigTest, GptNeoLayersFollowTheirTypes) {
  // attention_types counts, not the list that older files have beside it.
  const auto config = MustRead(With(kGptNeo1_3bJson, R"({"num_layers": 5, "window_size": 7,
      "attention_types": [[["local"], 2], [["global", "local", "global"], 1], [["local"], 0]]})"));
  EXPECT_EQ(config.stack.window, (std::vector<int64_t>{7, 7, 0, 7, 0}));
}

TEST(ConfigTest, GptNeox) {
  const ModelConfig pythia = MustRead(kPythia1_4bJson);
  EXPECT_EQ(Sizes(pythia), (std::vector<int64_t>{50304, 2048, 2048, 24, 16, 16, 128, 8192, 2048}));
  EXPECT_EQ(pythia.stack.residual, ResidualForm::kParallelTwoNorms);
  EXPECT_EQ(pythia.stack.activation, Activation::kGelu);
  EXPECT_EQ(pythia.stack.rope.dim, 32);
  EXPECT_EQ(pythia.stack.rope.style, RopeStyle::kHalf);
  EXPECT_TRUE(pythia.stack.qkv_bias && pythia.stack.attention_out_bias && pythia.stack.ffn_bias);
  EXPECT_FALSE(pythia.tied_head);
  const ModelConfig large = MustRead(kNeox20bJson);
  EXPECT_EQ(Sizes(large), (std::vector<int64_t>{50432, 6144, 6144, 44, 64, 64, 96, 24576, 2048}));
  EXPECT_EQ(large.stack.activation, Activation::kGeluTanh);
  EXPECT_EQ(large.stack.rope.dim, 24);
  EXPECT_EQ(MustRead(Bare("gpt_neox")).stack.rope.dim, 24);
}

TEST(ConfigTest, GptNeoxSwitches) {
  const auto config = MustRead(With(
      kPythia1_4bJson,
      R"({"use_parallel_residual": false, "attention_bias": false, "rotary_emb_base": 5000})"));
  EXPECT_EQ(config.stack.residual, ResidualForm::kSequential);
  EXPECT_FALSE(config.stack.qkv_bias || config.stack.attention_out_bias);
  EXPECT_TRUE(config.stack.ffn_bias);
  EXPECT_EQ(config.stack.rope.base, 5000.0);
}

// A quarter of 20 dimensions is five. So three pairs turn, with exponents 0, 2/5 and 4/5.
TEST(ConfigTest, GptNeoxOddRotaryDimension) {
  const auto config =
      MustRead(With(kPythia1_4bJson, R"({"hidden_size": 60, "num_attention_heads": 3})"));
  EXPECT_EQ(config.stack.rope.dim, 6);
  EXPECT_EQ(config.stack.rope.exponent_dim, 5);
}

TEST(ConfigTest, GptNeoxNewSpelling) {
  Json config = MustParse(kPythia1_4bJson);
  Json::Object kept;
  for (const auto& member : *config.AsObject()) {
    if (!member.first.starts_with("rotary_") && member.first != "torch_dtype") {
      kept.push_back(member);
    }
  }
  Json renewed(kept);
  renewed.Set("dtype", "float16");
  renewed.Set("rope_parameters", MustParse(R"({"partial_rotary_factor": 0.25,
      "rope_theta": 10000, "rope_type": "default"})"));
  EXPECT_EQ(MustRead(renewed), MustRead(kPythia1_4bJson));
}

TEST(ConfigTest, Bloom) {
  const ModelConfig config = MustRead(kBloom560mJson);
  EXPECT_EQ(Sizes(config), (std::vector<int64_t>{250880, 1024, 1024, 24, 16, 16, 64, 4096, 2048}));
  EXPECT_EQ(config.stack.position, PositionKind::kAlibi);
  EXPECT_TRUE(config.stack.embedding_norm && config.tied_head && config.stack.final_norm);
  EXPECT_FALSE(config.stack.residual_after_norm);
  EXPECT_EQ(config.stack.activation, Activation::kGeluTanh);
  EXPECT_EQ(config.bos_token_id, 1);
  EXPECT_EQ(config.eos_token_ids, Ids{2});
  const auto other = MustRead(
      With(kBloom560mJson, R"({"apply_residual_connection_post_layernorm": true, "n_inner": 37})"));
  EXPECT_TRUE(other.stack.residual_after_norm);
  EXPECT_EQ(other.stack.ffn, 4096);
  const auto positions = [](std::string_view changes) {
    return MustRead(With(kBloom560mJson, changes)).stack.max_positions;
  };
  EXPECT_EQ(positions(R"({"seq_length": 7})"), 2048);
  EXPECT_EQ(positions(R"({"seq_length": 4096})"), 4096);
  EXPECT_EQ(Sizes(MustRead(Bare("bloom"))),
            (std::vector<int64_t>{250880, 64, 64, 2, 8, 8, 8, 256, 2048}));
}

TEST(ConfigTest, Llama) {
  const ModelConfig config = MustRead(kLlama2Json);
  EXPECT_EQ(Sizes(config), (std::vector<int64_t>{32000, 4096, 4096, 32, 32, 32, 128, 11008, 4096}));
  EXPECT_EQ(config.stack.norm, NormKind::kRmsNorm);
  EXPECT_EQ(config.stack.norm_eps, 1e-5f);
  EXPECT_TRUE(config.stack.gated && config.stack.norm_affine);
  EXPECT_FALSE(config.stack.norm_bias || config.stack.qkv_bias || config.stack.attention_out_bias ||
               config.stack.ffn_bias);
  EXPECT_FALSE(config.tied_head || config.stack.qk_norm || config.stack.embedding_norm);
  EXPECT_EQ(config.stack.activation, Activation::kSilu);
  EXPECT_EQ(config.stack.rope.dim, 128);
  EXPECT_EQ(config.stack.rope.base, 10000.0);
  EXPECT_EQ(config.stack.rope.scaling, RopeScaling::kNone);
  EXPECT_EQ(config.stack.attention_scale[0], static_cast<float>(1.0 / std::sqrt(128.0)));
  const ModelConfig bare = MustRead(Bare("llama"));
  EXPECT_EQ(Sizes(bare), (std::vector<int64_t>{32000, 4096, 4096, 32, 32, 32, 128, 11008, 2048}));
  EXPECT_EQ(bare.stack.norm_eps, 1e-6f);
}

TEST(ConfigTest, Llama3) {
  const ModelConfig large = MustRead(kLlama31Json);
  EXPECT_EQ(Sizes(large),
            (std::vector<int64_t>{128256, 4096, 4096, 32, 32, 8, 128, 14336, 131072}));
  EXPECT_EQ(large.stack.rope.scaling, RopeScaling::kLlama3);
  EXPECT_EQ(large.stack.rope.base, 500000.0);
  EXPECT_EQ(large.stack.rope.factor, 8.0);
  EXPECT_EQ(large.stack.rope.low_freq_factor, 1.0);
  EXPECT_EQ(large.stack.rope.high_freq_factor, 4.0);
  EXPECT_EQ(large.stack.rope.original_max_positions, 8192);
  EXPECT_EQ(large.eos_token_ids, (Ids{128001, 128008, 128009}));
  EXPECT_EQ(large.bos_token_id, 128000);
  EXPECT_EQ(large.dtype, DType::kBF16);
  const ModelConfig small = MustRead(kLlama32Json);
  EXPECT_EQ(Sizes(small), (std::vector<int64_t>{128256, 2048, 2048, 16, 32, 8, 64, 8192, 131072}));
  EXPECT_TRUE(small.tied_head);
  EXPECT_EQ(Sizes(MustRead(kTinyLlamaJson)),
            (std::vector<int64_t>{32000, 2048, 2048, 22, 32, 4, 64, 5632, 2048}));
}

TEST(ConfigTest, LlamaBiases) {
  const auto config = MustRead(With(kLlama2Json, R"({"attention_bias": true, "mlp_bias": true})"));
  EXPECT_TRUE(config.stack.qkv_bias && config.stack.attention_out_bias && config.stack.ffn_bias);
}

TEST(ConfigTest, HeadsNeedNotFillTheHiddenSize) {
  const auto config =
      MustRead(With(kLlama2Json, R"({"head_dim": 20, "hidden_size": 42, "num_attention_heads": 6,
                            "num_key_value_heads": 2})"));
  EXPECT_EQ(config.stack.query_width(), 120);
  EXPECT_EQ(config.stack.kv_width(), 40);
  EXPECT_EQ(config.stack.qkv_width(), 200);
  EXPECT_EQ(config.stack.attention_scale[0], static_cast<float>(1.0 / std::sqrt(20.0)));
}

TEST(ConfigTest, Mistral) {
  const ModelConfig windowed = MustRead(kMistral01Json);
  EXPECT_EQ(Sizes(windowed),
            (std::vector<int64_t>{32000, 4096, 4096, 32, 32, 8, 128, 14336, 32768}));
  EXPECT_EQ(windowed.stack.window, std::vector<int64_t>(32, 4096));
  const ModelConfig plain = MustRead(kMistral03Json);
  EXPECT_EQ(plain.stack.window, std::vector<int64_t>(32, 0));
  EXPECT_EQ(plain.stack.rope.base, 1000000.0);
  const ModelConfig bare = MustRead(Bare("mistral"));
  EXPECT_EQ(bare.stack.num_kv_heads, 8);
  EXPECT_EQ(bare.stack.window, std::vector<int64_t>(32, 4096));
  EXPECT_EQ(MustRead(With(kMistral03Json, R"({"num_key_value_heads": null})")).stack.num_kv_heads,
            32);
}

TEST(ConfigTest, Qwen2) {
  const ModelConfig config = MustRead(kQwen25Json);
  EXPECT_EQ(Sizes(config), (std::vector<int64_t>{151936, 896, 896, 24, 14, 2, 64, 4864, 32768}));
  EXPECT_TRUE(config.stack.qkv_bias && config.tied_head);
  EXPECT_FALSE(config.stack.attention_out_bias || config.stack.ffn_bias || config.stack.qk_norm);
  EXPECT_EQ(config.stack.window, std::vector<int64_t>(24, 0));
  EXPECT_TRUE(MustRead(Bare("qwen2")).eos_token_ids.empty());
}

TEST(ConfigTest, QwenWindows) {
  const auto from_layer = MustRead(With(kQwen25Json, R"({"use_sliding_window": true,
      "sliding_window": 37, "num_hidden_layers": 3, "max_window_layers": 1})"));
  EXPECT_EQ(from_layer.stack.window, (std::vector<int64_t>{0, 37, 37}));
  const auto named = MustRead(With(kQwen3Json, R"({"use_sliding_window": true, "sliding_window": 29,
      "num_hidden_layers": 3, "layer_types":
      ["sliding_attention", "full_attention", "sliding_attention"]})"));
  EXPECT_EQ(named.stack.window, (std::vector<int64_t>{29, 0, 29}));
}

TEST(ConfigTest, Qwen3) {
  const ModelConfig config = MustRead(kQwen3Json);
  EXPECT_EQ(Sizes(config), (std::vector<int64_t>{151936, 1024, 1024, 28, 16, 8, 128, 3072, 40960}));
  EXPECT_TRUE(config.stack.qk_norm && config.tied_head);
  EXPECT_FALSE(config.stack.qkv_bias || config.stack.attention_out_bias);
  EXPECT_EQ(config.stack.query_width(), 2048);
  EXPECT_EQ(MustRead(Bare("qwen3")).stack.head_dim, 128);
}

TEST(ConfigTest, BothRopeSpellingsAreOne) {
  Json renewed = With(kLlama31Json, R"({"rope_parameters": {"factor": 8.0, "low_freq_factor": 1.0,
      "high_freq_factor": 4.0, "original_max_position_embeddings": 8192, "rope_type": "llama3",
      "rope_theta": 500000.0}, "rope_scaling": null, "rope_theta": null})");
  EXPECT_EQ(MustRead(renewed), MustRead(kLlama31Json));
  const auto type = With(kLlama2Json, R"({"rope_scaling": {"type": "linear", "factor": 2.5}})");
  const auto rope_type =
      With(kLlama2Json, R"({"rope_parameters": {"rope_type": "linear", "factor": 2.5,
                                           "rope_theta": 10000.0}})");
  EXPECT_EQ(MustRead(type), MustRead(rope_type));
}

struct StretchCase {
  const char* rope;
  int64_t max_positions;
  int64_t original;
};

class StretchTest : public testing::TestWithParam<StretchCase> {};

// The base configuration states 4096 positions.
TEST_P(StretchTest, UsableContext) {
  const auto config =
      MustRead(With(kLlama2Json, "{\"rope_scaling\": " + std::string(GetParam().rope) + "}"));
  EXPECT_EQ(config.stack.max_positions, GetParam().max_positions);
  EXPECT_EQ(config.stack.rope.original_max_positions, GetParam().original);
}

INSTANTIATE_TEST_SUITE_P(
    All, StretchTest,
    testing::Values(
        StretchCase{R"({"type": "default"})", 4096, 4096},
        StretchCase{R"({"type": "linear", "factor": 4})", 16384, 4096},
        StretchCase{R"({"type": "dynamic", "factor": 2.0})", 8192, 4096},
        StretchCase{R"({"type": "yarn", "factor": 4.0, "original_max_position_embeddings": 4096})",
                    16384, 4096},
        StretchCase{R"({"type": "yarn", "factor": 4.0, "original_max_position_embeddings": 512})",
                    4096, 512},
        StretchCase{R"({"type": "yarn", "factor": 2.0})", 8192, 4096},
        StretchCase{R"({"type": "yarn", "factor": null, "original_max_position_embeddings": 1024})",
                    4096, 1024},
        StretchCase{R"({"rope_type": "llama3", "factor": 8.0, "low_freq_factor": 1.0,
                        "high_freq_factor": 4.0, "original_max_position_embeddings": 512})",
                    4096, 512}));

TEST(ConfigTest, TokensComeFromTheGenerationConfigFirst) {
  const auto read = [](std::string_view generation) {
    auto model = DescribeModel("", MustParse(kLlama31Json), MustParse(generation));
    EXPECT_TRUE(model.ok()) << model.status().ToString();
    return model->config;
  };
  EXPECT_EQ(read(R"({"eos_token_id": [7, 9], "bos_token_id": 3})").eos_token_ids, (Ids{7, 9}));
  EXPECT_EQ(read(R"({"eos_token_id": 5})").eos_token_ids, Ids{5});
  EXPECT_EQ(read(R"({"eos_token_id": 5})").bos_token_id, 128000);
  EXPECT_EQ(read(R"({"do_sample": true})").eos_token_ids, (Ids{128001, 128008, 128009}));
  EXPECT_TRUE(read(R"({"eos_token_id": null})").eos_token_ids.empty());
  EXPECT_TRUE(read(R"({"eos_token_id": -1})").eos_token_ids.empty());
}

TEST(ConfigTest, ReadsADirectory) {
  const auto dir = std::filesystem::path(testing::TempDir()) / "dray_config_test";
  std::filesystem::remove_all(dir);
  std::filesystem::create_directories(dir);
  const auto missing = ReadModelDescription(dir);
  ASSERT_FALSE(missing.ok());
  EXPECT_NE(missing.status().message().find("config.json"), std::string::npos);
  std::ofstream(dir / "config.json") << kGpt2Json;
  auto model = ReadModelDescription(dir);
  ASSERT_TRUE(model.ok()) << model.status().ToString();
  EXPECT_EQ(model->family, FindFamily("gpt2"));
  EXPECT_EQ(model->config, MustRead(kGpt2Json));
  std::ofstream(dir / "generation_config.json") << R"({"eos_token_id": 11})";
  EXPECT_EQ(ReadModelDescription(dir)->config.eos_token_ids, Ids{11});
  std::ofstream(dir / "generation_config.json") << "{";
  const auto broken = ReadModelDescription(dir);
  ASSERT_FALSE(broken.ok());
  EXPECT_NE(broken.status().message().find("generation_config.json"), std::string::npos);
  std::ofstream(dir / "config.json") << std::string(17 << 20, ' ');
  EXPECT_EQ(ReadModelDescription(dir).status().code(), StatusCode::kResourceExhausted);
  std::filesystem::remove_all(dir);
}

}  // namespace
}  // namespace dray::model
