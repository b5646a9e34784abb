// The runner of several ranks: results that depend on nothing but the number of ranks, what a rank's
// failure does, and which numbers of ranks are refused.
#include "engine/runner/group_runner.h"

#include <algorithm>
#include <memory>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "base/machine/cpu_info.h"
#include "base/testing/scarce_threads.h"
#include "engine/testing/sequence_scorer.h"
#include "testing/golden_run.h"
#include "testing/runner_support.h"

namespace dray::engine {
namespace {

std::unique_ptr<ModelRunner> MakeSmall(LoadedModel& model) {
  auto runner = MakeGroupRunner(model, model.backends(), SmallSpec());
  EXPECT_TRUE(runner.ok()) << runner.status().ToString();
  return std::move(runner).value();
}

TEST(GroupRunnerTest, LogitsDependOnNeitherThreadsNorChunks) {
  for (const char* variant : {"llama-gqa", "gptj", "bloom-6-heads"}) {
    const auto golden = testing::ReadGoldenModel(variant);
    const auto& prompt = golden.prompts.back();
    for (const int64_t num_ranks : {2, 3}) {
      std::vector<float> expected;
      for (const int threads_of_each : {1, 2}) {
        const auto model =
            LoadGolden(golden, static_cast<int>(num_ranks) * threads_of_each, num_ranks);
        ASSERT_EQ(model->num_ranks(), num_ranks);
        for (const int64_t chunk : {0, 13}) {
          auto scorer = SequenceScorer::Make(*model, {.chunk_tokens = chunk});
          ASSERT_TRUE(scorer.ok()) << scorer.status().ToString();
          const auto logits = scorer->Logits(prompt.ids, prompt.logit_positions).value();
          if (expected.empty()) expected = logits;
          EXPECT_EQ(logits, expected) << variant << ", " << num_ranks << " ranks";
        }
      }
    }
  }
}

TEST(GroupRunnerTest, AnswersDependOnNeitherBatchNorPreemption) {
  const auto golden = testing::ReadGoldenModel("qwen3");
  const auto model = LoadGolden(golden, 2, 2);
  EngineStats stats;
  const auto alone = LogProbs(*model, golden, {.max_sequences = 2, .block_size = 16}, stats);
  const auto together = LogProbs(*model, golden, {.max_sequences = 16, .block_size = 16}, stats);
  EXPECT_EQ(together, alone);
  EXPECT_EQ(stats.preemptions, 0U);
  const int64_t block_bytes =
      model->BlockBytes({.num_blocks = 1, .block_size = 16, .dtype = DType::kF32});
  const auto cramped = LogProbs(*model, golden,
                                {.max_batch_tokens = 64,
                                 .max_sequences = 16,
                                 .max_context_tokens = 320,
                                 .kv_cache_bytes = 22 * block_bytes,
                                 .block_size = 16},
                                stats);
  EXPECT_EQ(cramped, alone);
  EXPECT_GT(stats.preemptions, 0U);
}

TEST(GroupRunnerTest, AnAbandonedStepLeavesTheRunnerFree) {
  const auto model = LoadGolden(testing::ReadGoldenModel("llama-gqa"), 2, 2);
  const auto runner = MakeSmall(*model);
  const RunnerStep step = StepOver(Numbers(9), 9, 8);
  std::vector<float> whole, again;
  EXPECT_TRUE(RunToEnd(*runner, step, &whole).status.ok());
  EXPECT_EQ(whole.size(), 8U * 283U);
  runner->Submit(step);
  runner->Abandon();
  runner->Submit(step);
  EXPECT_FALSE(runner->Collect().is_last);
  runner->Abandon();
  EXPECT_TRUE(RunToEnd(*runner, step, &again).status.ok());
  EXPECT_EQ(again, whole);
}

class FailingRankTest : public ::testing::TestWithParam<size_t> {
 protected:
  void SetUp() override {
    model_ = LoadGolden(testing::ReadGoldenModel("llama-gqa"), 3, 3);
    ASSERT_NE(model_, nullptr);
    RankModel& rank = model_->ranks[GetParam()];
    backend_ = std::make_shared<FailingBackend>(rank.backend);
    rank.backend = backend_;
    runner_ = MakeSmall(*model_);
  }

  // The step fails, and so does every later one.
  void ExpectFailure(std::string_view message) {
    for (int i = 0; i < 2; ++i) {
      const StepPiece piece = RunToEnd(*runner_, StepOver(Numbers(9), 9, 8));
      EXPECT_EQ(piece.scope, FailureScope::kRunner);
      EXPECT_EQ(piece.status.message(),
                "rank " + std::to_string(GetParam()) + ": " + std::string(message));
      EXPECT_TRUE(piece.logits.empty());
    }
  }

  std::unique_ptr<LoadedModel> model_;
  std::shared_ptr<FailingBackend> backend_;
  std::unique_ptr<ModelRunner> runner_;
};

// The other ranks wait for this one in a sum or a gather, and must not wait for ever.
TEST_P(FailingRankTest, InTheMiddleOfAStep) {
  EXPECT_TRUE(RunToEnd(*runner_, StepOver(Numbers(9), 9, 8)).status.ok());
  backend_->failing_memory.num_left = 5;
  ExpectFailure("it is lost");
}

TEST_P(FailingRankTest, AtItsEnd) {
  backend_->end_error = {StatusCode::kUnsupported, "no such operation"};
  ExpectFailure("no such operation");
}

INSTANTIATE_TEST_SUITE_P(Ranks, FailingRankTest, ::testing::Values(0U, 1U, 2U));

Status LoadError(const testing::GoldenModel& golden, int64_t num_ranks,
                 const kernels::CpuOptions& cpu) {
  return LoadModel({.model_dir = golden.dir,
                    .tensor_parallel_degree = num_ranks,
                    .backend_options = {.cpu = cpu}})
      .status();
}

TEST(GroupRunnerTest, WrongNumbersOfRanksNameThoseThatWouldDo) {
  const auto golden = testing::ReadGoldenModel("llama-gqa");
  EXPECT_EQ(LoadError(golden, 7, {.oversubscribe = true}).message(),
            "tensor_parallel_degree is 7, but each rank needs a query head, and the model has 6: 1 "
            "to 6 would do");
  EXPECT_EQ(
      LoadError(golden, 3, {.num_threads = 2, .oversubscribe = true}).message(),
      "tensor_parallel_degree: 3 ranks need a thread each, but there are 2 threads: at most 2 "
      "ranks would do, or set threads to at least 3");
  const int processors = UsableCpuCount();
  if (processors < 6) {
    const std::string message = LoadError(golden, processors + 1, {}).message();
    EXPECT_NE(message.find("at most " + std::to_string(processors) +
                           " ranks would do, or set "
                           "oversubscribe"),
              std::string::npos)
        << message;
  }
}

TEST(GroupRunnerTest, RanksWithoutThreadsAreRefused) {
  const auto model = LoadGolden(testing::ReadGoldenModel("llama-gqa"), 3, 3);
  for (const int threads : {0, 1}) {
    Status status;
    {
      const ScarceThreads scarce(threads);
      status = MakeGroupRunner(*model, model->backends(), SmallSpec()).status();
    }
    EXPECT_EQ(status.code(), StatusCode::kResourceExhausted) << status.message();
    const std::string rank = "rank " + std::to_string(threads + 1),
                      thread = "thread " + std::to_string(threads + 1);
    EXPECT_NE(status.message().find(rank + ": cannot start " + thread), std::string::npos)
        << status.message();
  }
  const auto runner = MakeSmall(*model);  // there are threads again
  EXPECT_TRUE(RunToEnd(*runner, StepOver(Numbers(9), 9, 8)).status.ok());
}

TEST(GroupRunnerTest, AModelWithFewHeadsUsesTheFirstBackends) {
  const auto model = LoadGolden(testing::ReadGoldenModel("llama-gqa"), 3, 3);
  const auto golden = testing::ReadGoldenModel("llama-rope-yarn-factor");  // two heads
  LoadModelOptions options = {.model_dir = golden.dir, .format = kernels::WeightFormat::kF32};
  options.backends = model->backends();
  const auto small = LoadModel(options);
  ASSERT_TRUE(small.ok()) << small.status().ToString();
  EXPECT_EQ((*small)->num_ranks(), 2);
  EXPECT_LE(testing::WorstLogitError(**small, golden), 1e-4);
}

// As many ranks as there are memory nodes, which this test cannot choose.
TEST(GroupRunnerTest, TheMostRanksAreOneForEachMemoryNode) {
  auto model = LoadModel({.model_dir = testing::ReadGoldenModel("llama-gqa").dir,
                          .tensor_parallel_degree = LoadModelOptions::kMaxDegree});
  ASSERT_TRUE(model.ok()) << model.status().ToString();
  EXPECT_EQ((*model)->num_ranks(), std::min(6, kernels::NumNaturalRanks({})));
}

}  // namespace
}  // namespace dray::engine
