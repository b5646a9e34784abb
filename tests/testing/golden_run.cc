#include "testing/golden_run.h"

#include <algorithm>
#include <cmath>
#include <memory>
#include <utility>
#include <variant>

#include "base/check.h"
#include "engine/engine_core.h"
#include "engine/testing/sequence_scorer.h"

namespace dray::testing {
namespace {

// Collects a request's tokens.
class Collector : public engine::EventSink {
 public:
  void OnEvent(engine::Event event) override {
    if (const auto* token = std::get_if<engine::TokenEvent>(&event)) {
      tokens.push_back(token->token.id);
    }
  }
  std::vector<int32_t> tokens;
};

}  // namespace

double WorstLogitError(engine::LoadedModel& model, const GoldenModel& golden) {
  const auto& config = model.description.config;
  const auto vocab = static_cast<size_t>(config.vocab_size);
  auto scorer = engine::SequenceScorer::Make(model, {});
  DRAY_CHECK(scorer.ok());
  double worst = 0;
  for (const GoldenPrompt& prompt : golden.prompts) {
    const auto scored = scorer->Logits(prompt.ids, prompt.logit_positions);
    DRAY_CHECK(scored.ok());
    const std::vector<float>& logits = *scored;
    for (size_t row = 0; row < prompt.logits.size(); ++row) {
      double error = 0, largest = 0;
      for (size_t i = 0; i < vocab; ++i) {
        const double expected = prompt.logits[row][i];
        error = std::max(error, std::abs(double{logits[row * vocab + i]} - expected));
        largest = std::max(largest, std::abs(expected));
      }
      worst = std::max(worst, error / largest);
    }
  }
  return worst;
}

std::vector<std::vector<int32_t>> GreedyTokens(engine::LoadedModel& model,
                                               const GoldenModel& golden) {
  auto core = engine::EngineCore::Make(model, {.max_sequences = 16, .block_size = 16});
  DRAY_CHECK(core.ok());
  std::vector<std::shared_ptr<Collector>> collectors;
  for (const GoldenPrompt& prompt : golden.prompts) {
    engine::GenerateRequest request;
    request.prompt = prompt.ids;
    request.params.max_new_tokens = static_cast<int64_t>(prompt.greedy.size());
    request.params.ignore_eos = true;
    collectors.push_back(std::make_shared<Collector>());
    (*core)->Add(RequestId(collectors.size()), std::move(request), collectors.back());
  }
  while ((*core)->Step()) {
  }
  std::vector<std::vector<int32_t>> tokens;
  for (const auto& collector : collectors) tokens.push_back(collector->tokens);
  return tokens;
}

}  // namespace dray::testing
