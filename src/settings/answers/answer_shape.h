// Which generation of DJLServing's text requests and answers a model speaks. Its handlers changed
// their shapes several times, and each client was written against one of them.
#pragma once

#include <optional>
#include <string_view>

namespace dray::settings {

enum class AnswerShape {
  kPipeline,  // up to 0.21: what transformers' pipeline returns, a list in a list for each input
  kList,      // 0.22 and 0.23: a list of answers, each with its prompt
  kPieces,    // 0.23 with a rolling batch: always lines of {"outputs": ["piece"]}
  kText,      // 0.24 to 0.26: {"generated_text": ...}, streamed as lines of {"outputs": ["piece"]}
  kTokens,    // 0.27 and later: the same, streamed as lines of {"token": {...}}
  kAsync,     // the asynchronous handlers of 0.33 and later: TGI's names in the lines
};

// "pipeline", "list", "pieces", "text", "tokens" or "async"; nothing for other text.
std::optional<AnswerShape> ParseAnswerShape(std::string_view text);

// What was configured of a model's handler; "" for what was not. `entry_point` is a HandlerName
// (foreign/engine_choice.h).
struct HandlerChoice {
  std::string_view engine = {};
  std::string_view entry_point = {};
  std::string_view rolling_batch = {};
};

// The shape that the handler had which the engine and the entry point name: those of handlers that
// DJLServing no longer has stand for the release that had them last. kTokens for all others.
AnswerShape ShapeOfHandler(const HandlerChoice& choice);

// Whether the handler computed with FasterTransformer, whose rules of beam search differ from those of
// transformers.
bool IsFasterTransformer(const HandlerChoice& choice);

// Whether it is one that includes the prompt in the answer, and takes the parameters of
// transformers' generate().
constexpr bool IsOfTransformers(AnswerShape shape) {
  return shape == AnswerShape::kPipeline || shape == AnswerShape::kList;
}

}  // namespace dray::settings
