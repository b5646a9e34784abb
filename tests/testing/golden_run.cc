#include "testing/golden_run.h"

#include <algorithm>
#include <cmath>
#include <limits>
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

double LogitError(const std::vector<float>& logits, const GoldenPrompt& prompt) {
  double worst = 0;
  size_t next = 0;
  for (const std::vector<float>& row : prompt.logits) {
    if (next + row.size() > logits.size()) return std::numeric_limits<double>::infinity();
    double error = 0, largest = 0;
    for (const float expected : row) {
      error = std::max(error, std::abs(double{logits[next++]} - expected));
      largest = std::max(largest, std::abs(double{expected}));
    }
    worst = std::max(worst, error / largest);
  }
  return worst;
}

double Distance(const std::vector<float>& a, const std::vector<float>& b) {
  if (a.size() != b.size()) return std::numeric_limits<double>::infinity();
  double difference = 0, square = 0;
  for (size_t i = 0; i < b.size(); ++i) {
    difference += (double{a[i]} - b[i]) * (double{a[i]} - b[i]);
    square += double{b[i]} * b[i];
  }
  return std::sqrt(difference / square);
}

double WorstLogitError(engine::LoadedModel& model, const GoldenModel& golden) {
  auto scorer = engine::SequenceScorer::Make(model, {});
  DRAY_CHECK(scorer.ok());
  double worst = 0;
  for (const GoldenPrompt& prompt : golden.prompts) {
    const auto logits = scorer->Logits(prompt.ids, prompt.logit_positions);
    DRAY_CHECK(logits.ok());
    worst = std::max(worst, LogitError(*logits, prompt));
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
