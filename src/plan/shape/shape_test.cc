// Parameter counts of shapes against the totals that their makers publish, and ranks' shares of a
// T5 by hand. That the shares of decoders are those of loaded models: tests/models/plan_model_test.cc.
#include <gtest/gtest.h>

#include <map>
#include <string>

#include "model/describe/model_description.h"
#include "plan/shape/open_shape.h"
#include "plan/shape/shipped_shapes.h"
#include "plan/shape/t5_shape.h"

namespace dray::plan {
namespace {

std::unique_ptr<ModelShape> Open(const std::string& name) {
  auto shape = OpenShape(name);
  EXPECT_TRUE(shape.ok()) << shape.status().ToString();
  return shape.ok() ? std::move(*shape) : nullptr;
}

// Of transformers' num_parameters(), or the sizes of the published safetensors files.
const std::map<std::string, int64_t> kPublished = {
    {"bloom-176b", 176'247'271'424},     {"flan-t5-xxl", 11'135'332'352},
    {"gpt-j-6b", 6'050'882'784},         {"gpt-neox-20b", 20'554'567'680},
    {"llama-2-13b", 13'015'864'320},     {"llama-2-70b", 68'976'648'192},
    {"llama-3-70b", 70'553'706'496},     {"llama-3-8b", 8'030'261'248},
    {"llama-3.1-405b", 405'853'388'800}, {"llama-3.2-1b", 1'235'814'400},
    {"llama-7b", 6'738'415'616},         {"mistral-7b", 7'241'732'096},
    {"opt-1.3b", 1'315'758'080},         {"opt-13b", 12'853'473'280},
    {"opt-30b", 29'974'540'288},         {"opt-6.7b", 6'658'473'984},
    {"qwen2.5-7b", 7'615'616'512},       {"qwen3-8b", 8'190'735'360},
};

TEST(ShapeTest, ShippedShapesHaveThePublishedNumbersOfParameters) {
  for (const auto& [name, parameters] : kPublished) {
    const auto shape = Open(name);
    ASSERT_NE(shape, nullptr) << name;
    EXPECT_EQ(shape->facts().parameters, parameters) << name;
    EXPECT_EQ(shape->facts().name, name);
  }
}

TEST(ShapeTest, EveryShippedShapeOpensAndOneRankHoldsAllOfIt) {
  for (const ShippedShape& shipped : ShippedShapes()) {
    const auto shape = Open(std::string(shipped.name));
    ASSERT_NE(shape, nullptr);
    int64_t elements = 0;
    for (const WeightShare& weight : shape->ShareOf({}, {}).weights) {
      EXPECT_EQ(weight.elements(), weight.model_elements) << shipped.name << " " << weight.name;
      EXPECT_FALSE(weight.is_replicated);
      elements += weight.layers * weight.elements();
    }
    EXPECT_EQ(elements, shape->facts().parameters) << shipped.name;
  }
}

// When a family of encoder-decoder models gets a table, its own count must be this one.
TEST(ShapeTest, FamiliesWithATableAreCountedByIt) {
  for (const ShippedShape& shipped : ShippedShapes()) {
    const Json config = *Json::Parse(shipped.config);
    if (model::FindFamily(*config.Find("model_type")->AsString()) == nullptr) continue;
    const auto description = model::DescribeModel("", config, Json());
    ASSERT_TRUE(description.ok()) << description.status().ToString();
    EXPECT_EQ(description->num_parameters(), Open(std::string(shipped.name))->facts().parameters)
        << shipped.name;
  }
}

TEST(ShapeTest, RanksOfStagesTogetherHoldEveryElementOfTheModel) {
  for (const char* const name :
       {"bloom-176b", "opt-30b", "gpt-j-6b", "llama-3-8b", "flan-t5-xxl"}) {
    const auto shape = Open(name);
    for (const auto& [world, stages] : {std::pair{3, 1}, {8, 2}, {2, 3}}) {
      int64_t elements = 0;
      for (int64_t stage = 0; stage < stages; ++stage) {
        for (int64_t rank = 0; rank < world; ++rank) {
          for (const WeightShare& weight : shape->ShareOf({rank, world}, {stage, stages}).weights) {
            // Replicated weights count at the first rank only.
            if (weight.is_replicated && rank > 0) continue;
            elements += weight.layers * weight.model_elements;
          }
        }
      }
      // A token table that is also the head is at the first and at the last stage. Keys and values of
      // llama-3-8b are shared where there are more ranks than heads, which these degrees do not have.
      const bool twice =
          stages > 1 && (name == std::string("bloom-176b") || name == std::string("opt-30b"));
      const int64_t table = shape->facts().vocab_size * shape->facts().decoder().embed_dim;
      EXPECT_EQ(elements, shape->facts().parameters + (twice ? table : 0))
          << name << " " << world << " x " << stages;
    }
  }
}

TEST(ShapeTest, NamesOfTheHubAndOtherCases) {
  EXPECT_EQ(Open("facebook/opt-30b")->facts().name, "opt-30b");
  EXPECT_EQ(Open("BLOOM-176B")->facts().name, "bloom-176b");
  EXPECT_EQ(Open("bigscience/bloom")->facts().name, "bloom-176b");
  EXPECT_EQ(Open("EleutherAI/gpt-neox-20b")->facts().name, "gpt-neox-20b");
  const auto none = OpenShape("no-such-model");
  EXPECT_EQ(none.status().code(), StatusCode::kNotFound);
  EXPECT_NE(none.status().message().find("opt-30b"), std::string::npos);
}

Json T5Json() {
  return *Json::Parse(
      R"({"model_type": "t5", "d_model": 64, "d_kv": 16, "num_heads": 6, "d_ff": 128,
      "num_layers": 2, "num_decoder_layers": 3, "vocab_size": 100, "feed_forward_proj": "gated-gelu",
      "tie_word_embeddings": false, "torch_dtype": "bfloat16"})");
}

TEST(T5ShapeTest, CountsBothStacksAndBothTables) {
  const auto shape = ReadT5Shape("config.json", T5Json());
  ASSERT_TRUE(shape.ok()) << shape.status().ToString();
  const int64_t attention = 4 * 64 * 96, ffn = 3 * 64 * 128;
  const int64_t encoder = 2 * (attention + ffn + 2 * 64);
  const int64_t decoder = 3 * (2 * attention + ffn + 3 * 64);
  const int64_t ends = 2 * 100 * 64 + 2 * 64 + 2 * 32 * 6;
  EXPECT_EQ((*shape)->facts().parameters, encoder + decoder + ends);
  EXPECT_TRUE((*shape)->facts().has_encoder());
  EXPECT_EQ((*shape)->facts().max_stages(), 2);
  EXPECT_EQ((*shape)->facts().dtype, DType::kBF16);
}

TEST(T5ShapeTest, HeadsThatDoNotDivideArePadding) {
  const auto shape = ReadT5Shape("config.json", T5Json());
  ASSERT_TRUE(shape.ok());
  const RankShare last = (*shape)->ShareOf({3, 4}, {});  // 6 heads over 4 ranks: 2, 2, 2, none
  for (const WeightShare& weight : last.weights) {
    if (weight.name != "encoder.qkv") continue;
    EXPECT_EQ(weight.rows, 3 * 2 * 16);
    EXPECT_EQ(weight.model_elements, 0);
  }
  ASSERT_EQ(last.attention.size(), 3u);
  EXPECT_EQ(last.attention[2].kind, AttentionKind::kCross);
  EXPECT_EQ(last.attention[2].num_kv_heads, 2);
  EXPECT_EQ(last.attention[2].windows.size(), 3u);
}

TEST(T5ShapeTest, RefusesSizesThatCannotBe) {
  for (const auto& [key, value] : {std::pair<std::string, Json>{"d_kv", 0},
                                   {"num_heads", -1},
                                   {"d_ff", "wide"},
                                   {"num_layers", int64_t{1} << 40},
                                   {"tie_word_embeddings", 3}}) {
    Json config = T5Json();
    config.Set(key, value);
    const auto shape = ReadT5Shape("config.json", config);
    ASSERT_FALSE(shape.ok()) << key;
    EXPECT_NE(shape.status().message().find(key), std::string::npos) << shape.status().message();
  }
  EXPECT_FALSE(ReadT5Shape("config.json", Json(3)).ok());
}

}  // namespace
}  // namespace dray::plan
