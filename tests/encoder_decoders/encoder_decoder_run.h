// Runs loaded encoder-decoders over their golden sources; shared by the tests of whole models.
#pragma once

#include <gtest/gtest.h>

#include <memory>
#include <vector>

#include "base/checked_math.h"
#include "engine/runner/loaded_model.h"
#include "engine/runner/make_runner.h"
#include "model/forward/encoder.h"
#include "testing/golden_encoder_decoder.h"

namespace dray::engine {

inline std::unique_ptr<LoadedModel> LoadGolden(const testing::GoldenEncoderDecoder& golden,
                                               LoadModelOptions options = {}) {
  options.model_dir = golden.dir;
  if (!options.format) options.format = kernels::WeightFormat::kF32;
  options.backend_options.cpu.oversubscribe = true;
  if (options.backend_options.cpu.num_threads == 0) options.backend_options.cpu.num_threads = 2;
  auto model = LoadModel(options);
  EXPECT_TRUE(model.ok()) << model.status().ToString();
  return model.ok() ? std::move(*model) : nullptr;
}

// The states of all sources, one behind the other, computed in passes of at most `texts_at_once`.
inline std::vector<float> SourceStates(const LoadedModel& model,
                                       const std::vector<testing::GoldenSource>& sources,
                                       size_t texts_at_once) {
  const RankModel& rank = model.ranks.front();
  const model::ModelConfig config = EncoderOf(model.description.config);
  auto encoder = model::Encoder::Make({.config = config,
                                       .stack = rank.encoder->stack,
                                       .weights = rank.encoder->weights,
                                       .backend = *rank.backend,
                                       .tables = &rank.weights},
                                      {.max_batch_tokens = 600, .max_texts = 20});
  EXPECT_TRUE(encoder.ok()) << encoder.status().ToString();
  std::vector<float> all;
  for (size_t first = 0; first < sources.size(); first += texts_at_once) {
    model::EncoderBatch batch;
    for (size_t i = first; i < std::min(first + texts_at_once, sources.size()); ++i) {
      batch.ids.insert(batch.ids.end(), sources[i].ids.begin(), sources[i].ids.end());
      batch.lengths.push_back(static_cast<int32_t>(sources[i].ids.size()));
    }
    std::vector<float> states(batch.ids.size() * static_cast<size_t>(config.stack.hidden));
    kernels::StepTurn turn(*rank.backend, static_cast<int64_t>(batch.ids.size()));
    EXPECT_TRUE((*encoder)->Forward(batch).ok());
    EXPECT_TRUE((*encoder)->States(states).ok());
    EXPECT_TRUE(turn.Finish().ok());
    all.insert(all.end(), states.begin(), states.end());
  }
  return all;
}

// The logits of the first and the last golden token of each source, [sources, 2, vocab], all computed
// in one ragged step.
inline std::vector<float> GoldenTokenLogits(LoadedModel& model,
                                            const std::vector<testing::GoldenSource>& sources,
                                            DType kv_dtype = DType::kF32) {
  constexpr int64_t kBlockSize = 16, kMaxTokens = 1024;
  const RunnerSpec spec = {
      .cache = {.num_blocks = kMaxTokens / kBlockSize, .block_size = kBlockSize, .dtype = kv_dtype},
      .step = {.max_batch_tokens = kMaxTokens,
               .max_sequences = 8,
               .max_logit_rows = 16,
               .max_table_entries = kMaxTokens / kBlockSize}};
  auto runner = MakeRunner(model, spec);
  EXPECT_TRUE(runner.ok()) << runner.status().ToString();
  RunnerStep step;
  auto next_block = static_cast<int32_t>(spec.cache.num_blocks);
  for (const testing::GoldenSource& source : sources) {
    std::vector<int32_t> tokens = source.ids;
    const auto num_source = static_cast<int64_t>(tokens.size());
    tokens.push_back(model.description.config.decoder_start_token_id);
    tokens.insert(tokens.end(), source.greedy.begin(), source.greedy.end() - 1);
    const auto num_rows = static_cast<int64_t>(tokens.size());
    std::vector<BlockId> blocks;
    for (int64_t i = 0; i < DivideRoundUp(num_rows, kBlockSize); ++i) {
      blocks.emplace_back(--next_block);
    }
    const int32_t first = step.AppendRows({.num_rows = num_rows,
                                           .num_prompt_tokens = num_source + 1,
                                           .known = tokens,
                                           .block_table = blocks,
                                           .num_source_tokens = num_source},
                                          kBlockSize);
    step.logit_rows.push_back(first);
    step.logit_rows.push_back(first + static_cast<int32_t>(num_rows - num_source - 1));
  }
  EXPECT_GE(next_block, 0);
  std::vector<float> logits;
  (*runner)->Submit(step);
  for (bool more = true; more;) {
    const StepPiece piece = (*runner)->Collect();
    EXPECT_TRUE(piece.status.ok()) << piece.status.ToString();
    logits.insert(logits.end(), piece.logits.begin(), piece.logits.end());
    more = piece.status.ok() && !piece.is_last;
  }
  return logits;
}

}  // namespace dray::engine
