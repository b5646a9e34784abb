// Shared by the tests of ranks in processes: models that are computed by them.
#pragma once

#include <memory>
#include <utility>
#include <vector>

#include "engine/runner/make_runner.h"
#include "engine/testing/sequence_scorer.h"
#include "testing/process_state.h"
#include "testing/runner_support.h"

namespace dray::engine {

using testing::ChildrenOf;
using testing::SignalRank;
using testing::StateOf;

// {ranks in a stage, stages}
using Shape = std::pair<int64_t, int64_t>;

// Those beside threads that this build can test.
#ifdef DRAY_MPIRUN
inline constexpr RankTransport kOtherTransports[] = {RankTransport::kProcesses,
                                                     RankTransport::kMpi};
#else
inline constexpr RankTransport kOtherTransports[] = {RankTransport::kProcesses};
#endif

inline const char* NameOf(RankTransport transport) {
  if (transport == RankTransport::kThreads) return "threads";
  return transport == RankTransport::kProcesses ? "processes" : "mpi";
}

inline LoadModelOptions OptionsFor(const testing::GoldenModel& golden, const Shape& shape,
                                   RankTransport transport) {
  LoadModelOptions options;
  options.model_dir = golden.dir;
  options.format = kernels::WeightFormat::kF32;
  options.tensor_parallel_degree = shape.first;
  options.pipeline_parallel_degree = shape.second;
  options.backend_options.cpu = {.num_threads = static_cast<int>(shape.first * shape.second),
                                 .oversubscribe = true};
  options.ranks = {.transport = transport, .program = DRAY_PROGRAM};
  return options;
}

inline std::unique_ptr<LoadedModel> LoadRanks(const LoadModelOptions& options) {
  auto model = LoadModel(options);
  EXPECT_TRUE(model.ok()) << model.status().ToString();
  return model.ok() ? std::move(*model) : nullptr;
}

inline std::unique_ptr<ModelRunner> MakeSmallRunner(LoadedModel& model) {
  auto runner = MakeRunner(model, SmallSpec());
  EXPECT_TRUE(runner.ok()) << runner.status().ToString();
  return runner.ok() ? std::move(runner).value() : nullptr;
}

// The logits and the answers of the model in `options` are bit by bit those of ranks that are threads.
inline void ExpectBitsOfThreads(LoadModelOptions options, const testing::GoldenModel& golden,
                                DType kv_dtype = DType::kF32) {
  const RankTransport tested = options.ranks.transport;
  std::vector<float> expected;
  std::vector<std::vector<float>> expected_answers;
  for (const auto transport : {RankTransport::kThreads, tested}) {
    options.ranks.transport = transport;
    const auto model = LoadRanks(options);
    ASSERT_NE(model, nullptr);
    const auto& prompt = golden.prompts.back();
    EngineStats stats;
    const auto answers = LogProbs(
        *model, golden, {.max_sequences = 16, .block_size = 16, .kv_dtype = kv_dtype}, stats);
    auto scorer = SequenceScorer::Make(*model, {.chunk_tokens = 13});
    ASSERT_TRUE(scorer.ok()) << scorer.status().ToString();
    const auto logits = scorer->Logits(prompt.ids, prompt.logit_positions).value();
    if (transport == RankTransport::kThreads) {
      expected = logits;
      expected_answers = answers;
    }
    EXPECT_EQ(logits, expected);
    EXPECT_EQ(answers, expected_answers);
  }
}

}  // namespace dray::engine
