// The configurations of encoders: what published config.json files resolve to, and which are refused.
#include <gtest/gtest.h>

#include "model/testing/config_testing.h"

namespace dray::model {
namespace {

using Labels = std::vector<std::string>;

TEST(EncoderConfigTest, MiniLm) {
  const ModelConfig config = MustRead(kMiniLmJson);
  const StackConfig& stack = config.stack;
  EXPECT_EQ(config.family, "bert");
  EXPECT_EQ(config.kind, ModelKind::kEncoder);
  EXPECT_FALSE(config.classifier.has_value());
  EXPECT_EQ(stack.hidden, 384);
  EXPECT_EQ(stack.head_dim, 32);
  EXPECT_EQ(stack.num_layers, 6);
  EXPECT_EQ(stack.ffn, 1536);
  EXPECT_EQ(stack.max_positions, 512);
  EXPECT_EQ(stack.position_offset, 0);
  EXPECT_EQ(stack.num_token_types, 2);
  EXPECT_EQ(stack.norm_eps, 1e-12f);
  EXPECT_EQ(stack.norm_placement, NormPlacement::kPost);
  EXPECT_EQ(stack.mask, AttentionMask::kFull);
  EXPECT_EQ(stack.activation, Activation::kGelu);
  EXPECT_TRUE(stack.embedding_norm);
  EXPECT_FALSE(stack.final_norm);
  EXPECT_FALSE(stack.unplaced_token.has_value());
}

TEST(EncoderConfigTest, PositionsOfRobertaBeginBehindThePaddingToken) {
  for (const char* type : {"roberta", "xlm-roberta", "camembert"}) {
    const ModelConfig config =
        MustRead(With(kRobertaJson, std::string(R"({"model_type": ")") + type + "\"}"));
    EXPECT_EQ(config.family, type);
    EXPECT_EQ(config.stack.position_offset, 2);
    EXPECT_EQ(config.stack.max_positions, 512);
    EXPECT_EQ(config.stack.unplaced_token, 1);
    EXPECT_EQ(config.stack.norm_eps, 1e-5f);
  }
}

TEST(EncoderConfigTest, DistilBertSortsIntoItsLabels) {
  const ModelConfig config = MustRead(kDistilBertJson);
  EXPECT_EQ(config.stack.num_token_types, 0);
  EXPECT_EQ(config.stack.hidden, 768);
  ASSERT_TRUE(config.classifier.has_value());
  EXPECT_EQ(config.classifier->labels, (Labels{"NEGATIVE", "POSITIVE"}));
  EXPECT_EQ(config.classifier->activation, Activation::kRelu);
  EXPECT_EQ(config.classifier->scores, ClassScores::kSoftmax);
}

ClassifierConfig ClassifierOf(std::string_view changes) {
  const Json base = With(kMiniLmJson, R"({"architectures": ["BertForSequenceClassification"]})");
  return MustRead(With(base.Dump(), changes)).classifier.value();
}

TEST(EncoderConfigTest, LabelsAndScoresAreThoseOfTransformers) {
  EXPECT_EQ(ClassifierOf("{}").labels, (Labels{"LABEL_0", "LABEL_1"}));
  EXPECT_EQ(ClassifierOf("{}").scores, ClassScores::kSoftmax);
  EXPECT_EQ(ClassifierOf(R"({"num_labels": 1})").scores, ClassScores::kSigmoid);
  EXPECT_EQ(ClassifierOf(R"({"problem_type": "multi_label_classification"})").scores,
            ClassScores::kSigmoid);
  EXPECT_EQ(ClassifierOf(R"({"problem_type": "regression"})").scores, ClassScores::kNone);
  EXPECT_EQ(ClassifierOf(R"({"id2label": {"1": "b", "0": "a", "2": "c"}, "num_labels": 2})").labels,
            (Labels{"a", "b", "c"}));
}

struct Refusal {
  std::string_view base;
  std::string_view changes;
  std::string_view expected;  // must be part of the message
};

TEST(EncoderConfigTest, WrongConfigurationsAreRefusedByName) {
  constexpr std::string_view kClassifier = R"("architectures": ["BertForSequenceClassification"])";
  const std::string labels = "{" + std::string(kClassifier) + R"(, "id2label": )";
  const std::string not_numbers = labels + R"({"a": "b"}})",
                    gap = labels + R"({"0": "a", "2": "b"}})", no_text = labels + R"({"0": 1}})",
                    empty = labels + "{}}",
                    problem = "{" + std::string(kClassifier) + R"(, "problem_type": "guess"})",
                    count = "{" + std::string(kClassifier) + R"(, "num_labels": 0})";
  const std::vector<Refusal> refusals = {
      {kMiniLmJson, R"({"num_attention_heads": 7})", "7 heads do not divide"},
      {kMiniLmJson, R"({"hidden_size": 0})", "hidden_size is 0"},
      {kMiniLmJson, R"({"type_vocab_size": 0})", "type_vocab_size is 0"},
      {kMiniLmJson, R"({"hidden_act": "quick_gelu"})", "quick_gelu"},
      {kMiniLmJson, R"({"position_embedding_type": "relative_key"})", "position_embedding_type"},
      {kMiniLmJson, R"({"is_decoder": true})", "is_decoder is true"},
      {kMiniLmJson, R"({"add_cross_attention": true})", "add_cross_attention"},
      {kMiniLmJson, R"({"architectures": ["BertForTokenClassification"]})",
       "BertForTokenClassification"},
      {kMiniLmJson, R"({"architectures": ["BertLMHeadModel"]})", "BertLMHeadModel"},
      {kMiniLmJson, R"({"architectures": "BertModel"})", "architectures"},
      {kMiniLmJson, not_numbers, "id2label"},
      {kMiniLmJson, gap, "id2label"},
      {kMiniLmJson, no_text, "id2label"},
      {kMiniLmJson, empty, "id2label"},
      {kMiniLmJson, problem, "problem_type is \"guess\""},
      {kMiniLmJson, count, "num_labels is 0"},
      {kRobertaJson, R"({"max_position_embeddings": 2})", "max_position_embeddings is 2"},
      {kRobertaJson, R"({"pad_token_id": 60000})", "pad_token_id"},
      {kDistilBertJson, R"({"n_heads": 5})", "n_heads is 5"},
      {kDistilBertJson, R"({"dim": 12, "hidden_size": 24})", "hidden_size is 24"},
  };
  for (const Refusal& refusal : refusals) {
    const auto model = Describe(With(refusal.base, refusal.changes));
    ASSERT_FALSE(model.ok()) << refusal.changes;
    EXPECT_NE(model.status().message().find(refusal.expected), std::string::npos)
        << model.status().message();
  }
}

TEST(EncoderConfigTest, KindsAreToldApart) {
  EXPECT_TRUE(CheckKind(MustRead(kMiniLmJson), ModelKind::kEncoder).ok());
  const Status status = CheckKind(MustRead(kMiniLmJson), ModelKind::kDecoder);
  EXPECT_EQ(status.code(), StatusCode::kUnsupported);
  EXPECT_NE(status.message().find("bert models are encoders"), std::string::npos);
  EXPECT_FALSE(CheckKind(MustRead(kGpt2Json), ModelKind::kEncoder).ok());
}

}  // namespace
}  // namespace dray::model
