#include "settings/answers/answer_shape.h"

#include <algorithm>
#include <initializer_list>

namespace dray::settings {
namespace {

bool IsOneOf(std::string_view text, std::initializer_list<std::string_view> names) {
  return std::find(names.begin(), names.end(), text) != names.end();
}

}  // namespace

std::optional<AnswerShape> ParseAnswerShape(std::string_view text) {
  struct Name {
    std::string_view name;
    AnswerShape shape;
  };
  static constexpr Name kNames[] = {
      {"pipeline", AnswerShape::kPipeline}, {"list", AnswerShape::kList},
      {"pieces", AnswerShape::kPieces},     {"text", AnswerShape::kText},
      {"tokens", AnswerShape::kTokens},     {"async", AnswerShape::kAsync},
  };
  for (const auto& [name, shape] : kNames) {
    if (name == text) return shape;
  }
  return std::nullopt;
}

AnswerShape ShapeOfHandler(const HandlerChoice& choice) {
  const std::string_view entry = choice.entry_point;
  if (entry.starts_with("lmi_") && entry.ends_with("_async_service")) {
    return AnswerShape::kAsync;
  }
  if (choice.engine == "Rubikon") return AnswerShape::kPipeline;
  const bool of_2023 = IsOneOf(choice.engine, {"DeepSpeed", "FasterTransformer"}) ||
                       IsOneOf(entry, {"deepspeed", "fastertransformer", "transformers_neuronx"});
  if (!of_2023) return AnswerShape::kTokens;
  const bool rolls = !choice.rolling_batch.empty() && choice.rolling_batch != "disable";
  return rolls ? AnswerShape::kPieces : AnswerShape::kList;
}

bool IsFasterTransformer(const HandlerChoice& choice) {
  return choice.engine == "FasterTransformer" || choice.entry_point == "fastertransformer";
}

}  // namespace dray::settings
