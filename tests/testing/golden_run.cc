#include "testing/golden_run.h"

#include <algorithm>
#include <cmath>
#include <memory>
#include <numeric>
#include <utility>
#include <variant>

#include "base/check.h"
#include "engine/engine_core.h"

namespace dray::testing {
namespace {

constexpr int32_t kBlockSize = 16;
constexpr int32_t kBlocks = 32;

model::RaggedBatch OneSequence(const std::vector<int32_t>& ids) {
  const auto length = static_cast<int32_t>(ids.size());
  model::RaggedBatch batch;
  batch.ids = ids;
  batch.positions.resize(ids.size());
  std::iota(batch.positions.begin(), batch.positions.end(), 0);
  batch.known_tokens.assign(ids.size(), length);
  batch.block_tables.resize(kBlocks);
  // Blocks need not be in order.
  for (int32_t i = 0; i < kBlocks; ++i) batch.block_tables[i] = kBlocks - 1 - i;
  for (int32_t i = 0; i < length; ++i) {
    batch.slots.push_back(batch.block_tables[i / kBlockSize] * kBlockSize + i % kBlockSize);
  }
  batch.sequences = {
      {.first_row = 0, .num_rows = length, .context_tokens = length, .table_offset = 0}};
  return batch;
}

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
  auto cache = model::KvCache::Make(*model.backend, config.stack,
                                    {.num_blocks = kBlocks, .block_size = kBlockSize});
  auto decoder = model::Decoder::Make(config, model.weights, *model.backend,
                                      {.max_batch_tokens = 512,
                                       .max_sequences = 1,
                                       .max_logit_rows = 512,
                                       .max_table_entries = kBlocks});
  DRAY_CHECK(cache.ok() && decoder.ok());
  double worst = 0;
  for (const GoldenPrompt& prompt : golden.prompts) {
    DRAY_CHECK((*decoder)->Forward(OneSequence(prompt.ids), *cache).ok());
    std::vector<float> logits(prompt.logit_positions.size() * vocab);
    DRAY_CHECK((*decoder)->Logits(prompt.logit_positions, logits).ok());
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
  auto core = engine::EngineCore::Make(model, {.max_sequences = 16, .block_size = kBlockSize});
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
