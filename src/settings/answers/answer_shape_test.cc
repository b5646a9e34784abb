#include "settings/answers/answer_shape.h"

#include <gtest/gtest.h>

namespace dray::settings {
namespace {

TEST(AnswerShapeTest, HasAName) {
  EXPECT_EQ(ParseAnswerShape("pipeline"), AnswerShape::kPipeline);
  EXPECT_EQ(ParseAnswerShape("list"), AnswerShape::kList);
  EXPECT_EQ(ParseAnswerShape("pieces"), AnswerShape::kPieces);
  EXPECT_EQ(ParseAnswerShape("text"), AnswerShape::kText);
  EXPECT_EQ(ParseAnswerShape("tokens"), AnswerShape::kTokens);
  EXPECT_EQ(ParseAnswerShape("async"), AnswerShape::kAsync);
  for (const char* text : {"", "Tokens", "0.23", "lists"}) {
    EXPECT_EQ(ParseAnswerShape(text), std::nullopt) << text;
  }
}

TEST(AnswerShapeTest, FollowsTheHandler) {
  struct Case {
    HandlerChoice choice;
    AnswerShape shape;
  };
  const Case cases[] = {
      {{}, AnswerShape::kTokens},
      {{.engine = "Python"}, AnswerShape::kTokens},
      {{.engine = "MPI", .rolling_batch = "lmi-dist"}, AnswerShape::kTokens},
      {{.engine = "Python", .entry_point = "huggingface"}, AnswerShape::kTokens},
      {{.engine = "Rubikon"}, AnswerShape::kPipeline},
      {{.engine = "DeepSpeed"}, AnswerShape::kList},
      {{.engine = "DeepSpeed", .rolling_batch = "disable"}, AnswerShape::kList},
      {{.engine = "DeepSpeed", .rolling_batch = "auto"}, AnswerShape::kPieces},
      {{.engine = "FasterTransformer"}, AnswerShape::kList},
      {{.engine = "Python", .entry_point = "fastertransformer"}, AnswerShape::kList},
      {{.engine = "Python", .entry_point = "transformers_neuronx"}, AnswerShape::kList},
      {{.engine = "Python", .entry_point = "lmi_vllm.vllm_async_service"}, AnswerShape::kAsync},
      {{.entry_point = "lmi_trtllm.trtllm_async_service"}, AnswerShape::kAsync},
  };
  for (const auto& [choice, shape] : cases) {
    EXPECT_EQ(ShapeOfHandler(choice), shape) << choice.engine << " " << choice.entry_point;
  }
}

}  // namespace
}  // namespace dray::settings
