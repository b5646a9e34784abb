// The runner of several stages: the results are bit by bit those of one stage, whatever is in
// flight, and a rank's failure ends it.
#include "engine/runner/stages/pipeline_runner.h"

#include <algorithm>
#include <memory>
#include <string>
#include <string_view>
#include <tuple>
#include <utility>
#include <vector>

#include "base/testing/scarce_threads.h"
#include "engine/speculation/prompt_lookup.h"
#include "engine/testing/sequence_scorer.h"
#include "testing/runner_support.h"

namespace dray::engine {
namespace {

// {ranks in a stage, stages}
using Shape = std::pair<int64_t, int64_t>;

std::unique_ptr<LoadedModel> LoadDivided(const testing::GoldenModel& golden, const Shape& shape) {
  const auto& [num_ranks, num_stages] = shape;
  auto model = LoadGolden(golden, static_cast<int>(num_ranks * num_stages), num_ranks, num_stages);
  EXPECT_EQ(model->num_ranks(), num_ranks * num_stages);
  EXPECT_EQ(model->num_stages, num_stages);
  return model;
}

std::unique_ptr<ModelRunner> MakeSmall(LoadedModel& model) {
  auto runner = MakePipelineRunner(model, model.backends(), SmallSpec());
  EXPECT_TRUE(runner.ok()) << runner.status().ToString();
  return std::move(runner).value();
}

// Models with three layers, of which one has a head that is also the token table, and one has
// another scale and window in each layer.
TEST(PipelineRunnerTest, LogitsAreThoseOfOneStage) {
  for (const char* variant : {"llama", "bloom-post-layernorm", "gpt2-scaled", "qwen3-sliding"}) {
    SCOPED_TRACE(variant);
    const auto golden = testing::ReadGoldenModel(variant);
    const auto& prompt = golden.prompts.back();
    for (const int64_t num_ranks : {1, 2}) {
      std::vector<float> expected;
      for (const int64_t num_stages : {1, 2, 3}) {
        const auto model = LoadDivided(golden, {num_ranks, num_stages});
        for (const int64_t chunk : {0, 13}) {
          auto scorer = SequenceScorer::Make(*model, {.chunk_tokens = chunk});
          ASSERT_TRUE(scorer.ok()) << scorer.status().ToString();
          const auto logits = scorer->Logits(prompt.ids, prompt.logit_positions).value();
          if (expected.empty()) expected = logits;
          EXPECT_EQ(logits, expected) << num_ranks << " ranks, " << num_stages << " stages";
        }
      }
    }
  }
}

TEST(PipelineRunnerTest, EachRankHasItsLayersAndEnds) {
  const auto golden = testing::ReadGoldenModel("opt-350m");  // projections at both ends
  const auto whole = LoadGolden(golden);
  const auto divided = LoadDivided(golden, {1, 2});
  size_t num_layers = 0;
  for (const RankModel& rank : divided->ranks) {
    num_layers += static_cast<size_t>(rank.stack.num_layers);
    const bool is_first = rank.stage.is_first();
    EXPECT_EQ(rank.weights.Matrix(model::Slot::kProjectIn) != nullptr, is_first);
    EXPECT_EQ(rank.weights.Matrix(model::Slot::kPositionEmbedding) != nullptr, is_first);
    EXPECT_EQ(rank.weights.Matrix(model::Slot::kProjectOut) != nullptr, !is_first);
    // It is also the head.
    EXPECT_NE(rank.weights.Matrix(model::Slot::kTokenEmbedding), nullptr);
  }
  EXPECT_EQ(num_layers, 2U);
  const model::KvCacheSpec block = {.num_blocks = 1, .block_size = 16};
  EXPECT_EQ(divided->BlockBytes(block), whole->BlockBytes(block));
}

TEST(PipelineRunnerTest, AnswersDependOnNothingElse) {
  const auto golden = testing::ReadGoldenModel("qwen3");
  EngineStats stats;
  const EngineOptions options = {.max_sequences = 16, .block_size = 16};
  const auto one_stage = LoadGolden(golden, 2, 2);
  const auto expected = LogProbs(*one_stage, golden, options, stats);
  const auto model = LoadDivided(golden, {2, 2});
  EXPECT_EQ(LogProbs(*model, golden, options, stats), expected);
  EXPECT_EQ(stats.preemptions, 0U);
  const int64_t block_bytes =
      model->BlockBytes({.num_blocks = 1, .block_size = 16, .dtype = DType::kF32});
  EXPECT_EQ(LogProbs(*model, golden,
                     {.max_batch_tokens = 64,
                      .max_sequences = 16,
                      .max_context_tokens = 320,
                      .kv_cache_bytes = 22 * block_bytes,
                      .block_size = 16},
                     stats),
            expected);
  EXPECT_GT(stats.preemptions, 0U);
  EXPECT_EQ(LogProbs(*model, golden, options, stats, MakePromptLookup(1, 3)), expected);
  EXPECT_GT(stats.accepted_tokens, 0U);
}

TEST(PipelineRunnerTest, SeveralStepsAreInFlight) {
  const auto model = LoadDivided(testing::ReadGoldenModel("llama"), {1, 3});
  const auto runner = MakeSmall(*model);
  ASSERT_EQ(runner->max_steps_in_flight(), 3U);
  std::vector<RunnerStep> steps;
  std::vector<std::vector<float>> alone(4);
  for (int64_t i = 0; i < 4; ++i) {
    steps.push_back(StepOver(Numbers(9 + i), 9 + i, 1 + i));
    EXPECT_TRUE(RunToEnd(*runner, steps.back(), &alone[static_cast<size_t>(i)]).status.ok());
  }
  for (size_t i = 0; i < 3; ++i) runner->Submit(steps[i]);
  for (size_t i = 0; i < 4; ++i) {
    std::vector<float> logits;
    for (StepPiece piece; !piece.is_last;) {
      piece = runner->Collect();
      ASSERT_TRUE(piece.status.ok()) << piece.status.ToString();
      EXPECT_GE(piece.seconds, 0);
      logits.insert(logits.end(), piece.logits.begin(), piece.logits.end());
    }
    EXPECT_EQ(logits, alone[i]) << i;
    if (i == 0) runner->Submit(steps[3]);
  }
}

TEST(PipelineRunnerTest, AbandonedStepsLeaveTheRunnerFree) {
  const auto model = LoadDivided(testing::ReadGoldenModel("llama-gqa"), {2, 2});
  const RunnerStep step = StepOver(Numbers(9), 9, 8), other = StepOver(Numbers(12), 12, 1);
  std::vector<float> whole, again;
  {
    const auto runner = MakeSmall(*model);
    EXPECT_TRUE(RunToEnd(*runner, step, &whole).status.ok());
    runner->Submit(step);
    runner->Submit(other);
    runner->Abandon();
    runner->Submit(step);
    runner->Submit(other);
    EXPECT_FALSE(runner->Collect().is_last);
    runner->Abandon();
    EXPECT_TRUE(RunToEnd(*runner, step, &again).status.ok());
    EXPECT_EQ(again, whole);
    // A runner may be destroyed while steps are in flight.
    runner->Submit(other);
    runner->Submit(step);
  }
  // A step may have nothing but copies, or no rows whose logits are wanted.
  const auto runner = MakeSmall(*model);
  RunnerStep copies;
  copies.AppendCopy(BlockId(0), BlockId(1));
  EXPECT_TRUE(RunToEnd(*runner, copies).status.ok());
  EXPECT_TRUE(RunToEnd(*runner, StepOver(Numbers(9), 9, 0)).status.ok());
}

class FailingStageTest : public ::testing::TestWithParam<size_t> {
 protected:
  void SetUp() override {
    model_ = LoadDivided(testing::ReadGoldenModel("llama-gqa"), {2, 2});
    RankModel& rank = model_->ranks[GetParam()];
    backend_ = std::make_shared<FailingBackend>(rank.backend);
    rank.backend = backend_;
    runner_ = MakeSmall(*model_);
  }

  void ExpectFailure(std::string_view message) {
    const RunnerStep step = StepOver(Numbers(9), 9, 8);
    runner_->Submit(step);
    for (int i = 0; i < 2; ++i) {
      const StepPiece piece = RunToEnd(*runner_, step);
      EXPECT_EQ(piece.scope, FailureScope::kRunner);
      EXPECT_EQ(piece.status.message(),
                "rank " + std::to_string(GetParam()) + ": " + std::string(message));
      runner_->Abandon();
    }
  }

  std::unique_ptr<LoadedModel> model_;
  std::shared_ptr<FailingBackend> backend_;
  std::unique_ptr<ModelRunner> runner_;
};

TEST_P(FailingStageTest, InTheMiddleOfAStep) {
  EXPECT_TRUE(RunToEnd(*runner_, StepOver(Numbers(9), 9, 8)).status.ok());
  backend_->failing_memory.num_left = 3;
  ExpectFailure("it is lost");
}

TEST_P(FailingStageTest, AtItsEnd) {
  backend_->end_error = {StatusCode::kUnsupported, "no such operation"};
  ExpectFailure("no such operation");
}

INSTANTIATE_TEST_SUITE_P(Ranks, FailingStageTest, ::testing::Values(0U, 1U, 2U, 3U));

TEST(PipelineRunnerTest, RanksWithoutThreadsAreRefused) {
  const auto model = LoadDivided(testing::ReadGoldenModel("llama-gqa"), {2, 2});
  for (const int threads : {0, 1}) {
    Status status;
    {
      const ScarceThreads scarce(threads);
      status = MakePipelineRunner(*model, model->backends(), SmallSpec()).status();
    }
    EXPECT_EQ(status.code(), StatusCode::kResourceExhausted) << status.message();
    const std::string rank = "rank " + std::to_string(threads),
                      thread = "thread " + std::to_string(threads + 1);
    EXPECT_NE(status.message().find(rank + ": cannot start " + thread), std::string::npos)
        << status.message();
  }
  const auto runner = MakeSmall(*model);  // there are threads again
  EXPECT_TRUE(RunToEnd(*runner, StepOver(Numbers(9), 9, 8)).status.ok());
}

TEST(PipelineRunnerTest, WrongNumbersOfStagesNameThoseThatWouldDo) {
  const auto dir = testing::ReadGoldenModel("llama-gqa").dir;
  const auto error = [&](int64_t num_stages, const kernels::CpuOptions& cpu) {
    return std::string(LoadModel({.model_dir = dir,
                                  .pipeline_parallel_degree = num_stages,
                                  .backend_options = {.cpu = cpu}})
                           .status()
                           .message());
  };
  EXPECT_EQ(error(3, {.oversubscribe = true}),
            "pipeline_parallel_degree is 3, but each stage needs a layer, and the model has 2: 1 "
            "to 2 would do");
  EXPECT_EQ(error(2, {.num_threads = 1, .oversubscribe = true}),
            "tensor_parallel_degree times pipeline_parallel_degree: 2 ranks need a thread each, "
            "but there are 1 threads: at most 1 ranks would do, or set threads to at least 2");
}

}  // namespace
}  // namespace dray::engine
