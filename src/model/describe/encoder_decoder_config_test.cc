// The configurations of encoder-decoders: what published config.json files resolve to, and which are
// refused.
#include <gtest/gtest.h>

#include <cmath>

#include "model/testing/config_testing.h"

namespace dray::model {
namespace {

TEST(EncoderDecoderConfigTest, T5Small) {
  const ModelConfig config = MustRead(kT5SmallJson);
  EXPECT_EQ(config.family, "t5");
  EXPECT_EQ(config.kind, ModelKind::kEncoderDecoder);
  EXPECT_EQ(config.vocab_size, 32128);
  EXPECT_EQ(config.embed_dim, 512);
  EXPECT_TRUE(config.tied_head);
  EXPECT_EQ(config.head_scale, static_cast<float>(1.0 / std::sqrt(512.0)));
  EXPECT_EQ(config.decoder_start_token_id, 0);
  EXPECT_EQ(config.eos_token_ids, std::vector<int32_t>{1});
  EXPECT_GT(config.usual_context_tokens, 1024);
  const StackConfig& stack = config.stack;
  EXPECT_EQ(stack.hidden, 512);
  EXPECT_EQ(stack.num_layers, 6);
  EXPECT_EQ(stack.num_heads, 8);
  EXPECT_EQ(stack.num_kv_heads, 8);
  EXPECT_EQ(stack.head_dim, 64);
  EXPECT_EQ(stack.ffn, 2048);
  EXPECT_EQ(stack.norm, NormKind::kRmsNorm);
  EXPECT_EQ(stack.norm_eps, 1e-6f);
  EXPECT_FALSE(stack.norm_bias);
  EXPECT_TRUE(stack.final_norm);
  EXPECT_EQ(stack.position, PositionKind::kRelative);
  EXPECT_EQ(stack.relative, (RelativePositions{32, 128}));
  EXPECT_EQ(stack.attention_scale, std::vector<float>(6, 1.0f));
  EXPECT_EQ(stack.activation, Activation::kRelu);
  EXPECT_FALSE(stack.gated || stack.qkv_bias || stack.attention_out_bias || stack.ffn_bias);
  EXPECT_EQ(stack.mask, AttentionMask::kCausal);
  EXPECT_TRUE(stack.cross_attention);
  // The encoder differs in what it sees and in nothing else.
  StackConfig encoder = config.encoder.value();
  EXPECT_EQ(encoder.mask, AttentionMask::kFull);
  EXPECT_FALSE(encoder.cross_attention);
  encoder.mask = AttentionMask::kCausal;
  encoder.cross_attention = true;
  EXPECT_EQ(encoder, stack);
}

TEST(EncoderDecoderConfigTest, FlanT5HasGatesAndAHeadOfItsOwn) {
  const ModelConfig config = MustRead(kFlanT5XxlJson);
  EXPECT_FALSE(config.tied_head);
  EXPECT_EQ(config.head_scale, 1.0f);
  EXPECT_TRUE(config.stack.gated);
  EXPECT_EQ(config.stack.activation, Activation::kGeluTanh);
  EXPECT_EQ(config.stack.query_width(), 4096);
  EXPECT_EQ(config.dtype, DType::kF32);
  EXPECT_EQ(Describe(MustParse(kFlanT5XxlJson))->num_parameters(), 11'135'332'352);
}

TEST(EncoderDecoderConfigTest, Mt5IsNotScaled) {
  const ModelConfig config = MustRead(kMt5SmallJson);
  EXPECT_EQ(config.family, "mt5");
  EXPECT_EQ(config.head_scale, 1.0f);
  EXPECT_EQ(config.stack.query_width(), 384);
  EXPECT_EQ(MustRead(With(kMt5SmallJson, R"({"tie_word_embeddings": true})")).head_scale, 1.0f);
}

TEST(EncoderDecoderConfigTest, SizesAndTokensOfTheirOwn) {
  const auto t5 = [](std::string_view changes) { return MustRead(With(kT5SmallJson, changes)); };
  EXPECT_EQ(t5(R"({"num_decoder_layers": 2})").stack.num_layers, 2);
  EXPECT_EQ(t5(R"({"num_decoder_layers": 2})").encoder->num_layers, 6);
  EXPECT_EQ(t5(R"({"decoder_start_token_id": null, "pad_token_id": 5})").decoder_start_token_id, 5);
  EXPECT_EQ(t5(R"({"feed_forward_proj": "gated-silu"})").stack.activation, Activation::kSilu);
  EXPECT_EQ(t5(R"({"feed_forward_proj": "gelu"})").stack.activation, Activation::kGelu);
  // Newer programs call every head tied, and say by another key whether its input is scaled.
  EXPECT_EQ(t5(R"({"tie_word_embeddings": true, "scale_decoder_outputs": false})").head_scale,
            1.0f);
  EXPECT_EQ(t5(R"({"relative_attention_num_buckets": 8, "relative_attention_max_distance": 5})")
                .encoder->relative,
            (RelativePositions{8, 5}));
  const auto generation =
      DescribeModel("", MustParse(kT5SmallJson), MustParse(R"({"decoder_start_token_id": 9})"));
  ASSERT_TRUE(generation.ok());
  EXPECT_EQ(generation->config.decoder_start_token_id, 9);
}

TEST(EncoderDecoderConfigTest, TheEncoderIsAModelByItself) {
  const ModelConfig encoder = EncoderOf(MustRead(kT5SmallJson));
  EXPECT_EQ(encoder.kind, ModelKind::kEncoder);
  EXPECT_EQ(encoder.stack.mask, AttentionMask::kFull);
  EXPECT_FALSE(encoder.encoder.has_value());
  EXPECT_FALSE(encoder.tied_head);
}

struct Refusal {
  std::string_view changes;
  std::string_view expected;  // must be part of the message
};

TEST(EncoderDecoderConfigTest, WrongConfigurationsAreRefusedByName) {
  constexpr Refusal kRefusals[] = {
      {R"({"d_model": 0})", "d_model is 0"},
      {R"({"d_kv": 0})", "d_kv is 0"},
      {R"({"d_kv": 5000})", "d_kv is 5000"},
      {R"({"d_ff": -1})", "d_ff is -1"},
      {R"({"num_heads": "8"})", "num_heads"},
      {R"({"num_layers": 0})", "num_layers is 0"},
      {R"({"num_decoder_layers": 0})", "num_decoder_layers is 0"},
      {R"({"d_model": 512, "hidden_size": 256})", "hidden_size is 256"},
      {R"({"vocab_size": 0})", "vocab_size is 0"},
      {R"({"layer_norm_epsilon": -1})", "layer_norm_epsilon"},
      {R"({"relative_attention_num_buckets": 3})", "relative_attention_num_buckets is 3"},
      {R"({"relative_attention_num_buckets": 100000})", "relative_attention_num_buckets"},
      {R"({"relative_attention_max_distance": 16})", "relative_attention_max_distance is 16"},
      {R"({"relative_attention_max_distance": 100000})", "relative_attention_max_distance"},
      {R"({"feed_forward_proj": "gated-quick_gelu"})", "quick_gelu"},
      {R"({"feed_forward_proj": "gated-"})", "feed_forward_proj is \"gated-\""},
      {R"({"feed_forward_proj": 7})", "feed_forward_proj"},
      {R"({"dense_act_fn": "mish"})", "dense_act_fn is \"mish\""},
      {R"({"is_gated_act": true})", "is_gated_act is true"},
      {R"({"decoder_start_token_id": 40000})", "decoder_start_token_id is 40000"},
      {R"({"decoder_start_token_id": -1})", "decoder_start_token_id is -1"},
      {R"({"pad_token_id": 40000})", "pad_token_id is 40000"},
      {R"({"is_encoder_decoder": false})", "is_encoder_decoder is false"},
      {R"({"tie_word_embeddings": "yes"})", "tie_word_embeddings"},
      {R"({"scale_decoder_outputs": 2})", "scale_decoder_outputs"},
      {R"({"architectures": ["T5EncoderModel"]})", "T5EncoderModel"},
      {R"({"architectures": ["T5ForSequenceClassification"]})", "T5ForSequenceClassification"},
      {R"({"architectures": "T5ForConditionalGeneration"})", "architectures"},
      {R"({"num_experts": 8})", "num_experts"},
  };
  for (const Refusal& refusal : kRefusals) {
    const auto model = Describe(With(kT5SmallJson, refusal.changes));
    ASSERT_FALSE(model.ok()) << refusal.changes;
    EXPECT_NE(model.status().message().find(refusal.expected), std::string::npos)
        << model.status().message();
  }
}

TEST(EncoderDecoderConfigTest, KindsAreToldApart) {
  const ModelConfig config = MustRead(kT5SmallJson);
  EXPECT_TRUE(CheckKind(config, ModelKind::kEncoderDecoder).ok());
  for (const ModelKind kind : {ModelKind::kDecoder, ModelKind::kEncoder}) {
    const Status status = CheckKind(config, kind);
    EXPECT_EQ(status.code(), StatusCode::kUnsupported);
    EXPECT_NE(status.message().find("t5 models are encoder-decoders"), std::string::npos);
  }
}

}  // namespace
}  // namespace dray::model
