// The runner of ranks that are processes: results are bit by bit those of ranks that are threads, and
// a rank that is lost ends the runner with its name, and leaves no process behind.
#include "engine/runner/processes/process_runner.h"

#include <dirent.h>
#include <signal.h>
#include <unistd.h>

#include <fstream>
#include <memory>
#include <sstream>
#include <string>
#include <utility>
#include <vector>

#include "engine/runner/group_runner.h"
#include "engine/runner/make_runner.h"
#include "engine/testing/sequence_scorer.h"
#include "testing/runner_support.h"

namespace dray::engine {
namespace {

// {ranks in a stage, stages}
using Shape = std::pair<int64_t, int64_t>;

LoadModelOptions OptionsFor(const testing::GoldenModel& golden, const Shape& shape,
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

std::unique_ptr<LoadedModel> Load(const LoadModelOptions& options) {
  auto model = LoadModel(options);
  EXPECT_TRUE(model.ok()) << model.status().ToString();
  return model.ok() ? std::move(*model) : nullptr;
}

std::unique_ptr<ModelRunner> MakeSmall(LoadedModel& model) {
  auto runner = MakeRunner(model, SmallSpec());
  EXPECT_TRUE(runner.ok()) << runner.status().ToString();
  return std::move(runner).value();
}

// [0] is the letter of the state, [1] the parent.
std::pair<char, pid_t> StateOf(pid_t pid) {
  std::ifstream file("/proc/" + std::to_string(pid) + "/stat");
  std::stringstream text;
  text << file.rdbuf();
  std::stringstream rest(
      text.str().substr(std::min(text.str().size(), text.str().rfind(") ") + 2)));
  std::pair<char, pid_t> state = {'-', 0};
  rest >> state.first >> state.second;
  return state;
}

// The processes that this one has started, in the order of their starts.
std::vector<pid_t> Children() {
  std::vector<pid_t> children;
  DIR* const folder = ::opendir("/proc");
  while (const dirent* entry = ::readdir(folder)) {
    const pid_t pid = std::atoi(entry->d_name);
    if (pid > 0 && StateOf(pid).second == ::getpid()) children.push_back(pid);
  }
  ::closedir(folder);
  std::sort(children.begin(), children.end());
  return children;
}

// What differs only by where the ranks are: formats of weights and of the cache.
class SameBitsTest : public ::testing::TestWithParam<Shape> {
 protected:
  void ExpectSameBits(LoadModelOptions options, const testing::GoldenModel& golden,
                      DType kv_dtype = DType::kF32) {
    std::vector<float> expected;
    std::vector<std::vector<float>> expected_answers;
    for (const auto transport : {RankTransport::kThreads, RankTransport::kProcesses}) {
      options.ranks.transport = transport;
      const auto model = Load(options);
      ASSERT_NE(model, nullptr);
      const auto& prompt = golden.prompts.back();
      EngineStats stats;
      const auto answers = LogProbs(
          *model, golden, {.max_sequences = 16, .block_size = 16, .kv_dtype = kv_dtype}, stats);
      auto scorer = SequenceScorer::Make(*model, {.chunk_tokens = 13});
      ASSERT_TRUE(scorer.ok()) << scorer.status().ToString();
      const auto logits = scorer->Logits(prompt.ids, prompt.logit_positions).value();
      if (transport == RankTransport::kThreads) expected = logits, expected_answers = answers;
      EXPECT_EQ(logits, expected);
      EXPECT_EQ(answers, expected_answers);
    }
  }
};

TEST_P(SameBitsTest, Floats) {
  for (const char* variant : {"llama-gqa", "gptj", "bloom-6-heads"}) {
    SCOPED_TRACE(variant);
    const auto golden = testing::ReadGoldenModel(variant);
    ExpectSameBits(OptionsFor(golden, GetParam(), RankTransport::kThreads), golden);
  }
}

TEST_P(SameBitsTest, IntegersAndAnIntegerCache) {
  const auto golden = testing::ReadGoldenModel("qwen3");
  LoadModelOptions options = OptionsFor(golden, GetParam(), RankTransport::kThreads);
  options.format = kernels::WeightFormat::kI8;
  ExpectSameBits(options, golden, DType::kI8);
}

INSTANTIATE_TEST_SUITE_P(Shapes, SameBitsTest,
                         ::testing::Values(Shape{1, 1}, Shape{2, 1}, Shape{1, 2}, Shape{2, 2}));

TEST(ProcessRunnerTest, TheModelTellsWhatTheRanksHave) {
  const auto golden = testing::ReadGoldenModel("llama-gqa");
  const auto threads = Load(OptionsFor(golden, {2, 1}, RankTransport::kThreads));
  const auto processes = Load(OptionsFor(golden, {2, 1}, RankTransport::kProcesses));
  ASSERT_NE(processes, nullptr);
  EXPECT_EQ(processes->weight_bytes(), threads->weight_bytes());
  EXPECT_EQ(processes->checkpoint_format, threads->checkpoint_format);
  EXPECT_EQ(processes->ranks[0].weights.size_bytes(), 0U);
  EXPECT_EQ(Children().size(), 2U);
}

TEST(ProcessRunnerTest, StepsMayBeInFlightAndAbandoned) {
  const auto golden = testing::ReadGoldenModel("llama-gqa");
  const auto model = Load(OptionsFor(golden, {1, 2}, RankTransport::kProcesses));
  const auto runner = MakeSmall(*model);
  ASSERT_EQ(runner->max_steps_in_flight(), 2U);
  const RunnerStep step = StepOver(Numbers(9), 9, 8), other = StepOver(Numbers(12), 12, 1);
  std::vector<float> whole, again;
  EXPECT_TRUE(RunToEnd(*runner, step, &whole).status.ok());
  EXPECT_EQ(whole.size(), 8U * 283U);
  runner->Submit(step);
  runner->Submit(other);
  EXPECT_FALSE(runner->Collect().is_last);
  runner->Abandon();
  EXPECT_TRUE(RunToEnd(*runner, step, &again).status.ok());
  EXPECT_EQ(again, whole);
  RunnerStep copies;
  copies.AppendCopy(BlockId(1), BlockId(2));
  const StepPiece piece = RunToEnd(*runner, copies);
  EXPECT_TRUE(piece.status.ok() && piece.num_rows == 0);
}

class LostRankTest : public ::testing::TestWithParam<std::pair<Shape, size_t>> {
 protected:
  void SetUp() override {
    golden_ = testing::ReadGoldenModel("llama-gqa");
    LoadModelOptions options = OptionsFor(golden_, GetParam().first, RankTransport::kProcesses);
    options.ranks.timeout = timeout_;
    model_ = Load(options);
    ASSERT_NE(model_, nullptr);
    runner_ = MakeSmall(*model_);
    EXPECT_TRUE(RunToEnd(*runner_, step_, &expected_).status.ok());
    ranks_ = Children();
    ASSERT_EQ(ranks_.size(), model_->ranks.size());
  }

  // Every step fails for `reason`, the processes are gone, and a new runner computes as before.
  void ExpectLostAndMadeAgain(const std::string& reason) {
    for (int i = 0; i < 2; ++i) {
      const StepPiece piece = RunToEnd(*runner_, step_);
      EXPECT_EQ(piece.scope, FailureScope::kRunner);
      EXPECT_NE(piece.status.message().find(reason), std::string::npos) << piece.status.ToString();
    }
    EXPECT_EQ(Children(), std::vector<pid_t>());
    EXPECT_TRUE(runner_->replaceable());
    runner_.reset();
    runner_ = MakeSmall(*model_);
    std::vector<float> logits;
    EXPECT_TRUE(RunToEnd(*runner_, step_, &logits).status.ok());
    EXPECT_EQ(logits, expected_);
  }

  std::string lost() const { return "rank " + std::to_string(GetParam().second); }
  pid_t lost_process() const { return ranks_[GetParam().second]; }

  std::chrono::milliseconds timeout_{60'000};
  const RunnerStep step_ = StepOver(Numbers(9), 9, 8);
  testing::GoldenModel golden_;
  std::unique_ptr<LoadedModel> model_;
  std::unique_ptr<ModelRunner> runner_;
  std::vector<float> expected_;
  std::vector<pid_t> ranks_;
};

TEST_P(LostRankTest, Killed) {
  ::kill(lost_process(), SIGKILL);
  ExpectLostAndMadeAgain(lost() + " was ended by signal 9 (Killed)");
}

class StoppedRankTest : public LostRankTest {
 protected:
  StoppedRankTest() { timeout_ = std::chrono::milliseconds(3000); }
};

TEST_P(StoppedRankTest, Stopped) {
  ::kill(lost_process(), SIGSTOP);
  ExpectLostAndMadeAgain(lost());
}

const auto kLostRanks = ::testing::Values(std::pair(Shape{2, 1}, 0), std::pair(Shape{2, 1}, 1),
                                          std::pair(Shape{1, 2}, 0), std::pair(Shape{2, 2}, 3));
INSTANTIATE_TEST_SUITE_P(Ranks, LostRankTest, kLostRanks);
INSTANTIATE_TEST_SUITE_P(Ranks, StoppedRankTest, kLostRanks);

TEST(ProcessRunnerTest, WhatARankCannotLoadIsToldWithItsName) {
  const auto golden = testing::ReadGoldenModel("llama-gqa");
  LoadModelOptions options = OptionsFor(golden, {2, 1}, RankTransport::kProcesses);
  options.ranks.program = "/bin/false";
  const Status other_program = LoadModel(options).status();
  EXPECT_EQ(other_program.code(), StatusCode::kUnavailable);
  EXPECT_NE(other_program.message().find("exited with code 1"), std::string::npos)
      << other_program.ToString();
  options.ranks.program = "/no/such/program";
  EXPECT_EQ(LoadModel(options).status().message(),
            "rank 0: cannot start /no/such/program: No such file or directory");
  EXPECT_EQ(Children(), std::vector<pid_t>());
}

TEST(ProcessRunnerTest, DegreesAreCheckedBeforeAProcessIsStarted) {
  const auto golden = testing::ReadGoldenModel("bloom-6-heads");
  LoadModelOptions options = OptionsFor(golden, {7, 1}, RankTransport::kProcesses);
  EXPECT_EQ(LoadModel(options).status().code(), StatusCode::kInvalidArgument);
  options = OptionsFor(golden, {3, 1}, RankTransport::kProcesses);
  options.backend_options.cpu.num_threads = 2;
  EXPECT_EQ(
      LoadModel(options).status().message(),
      "tensor_parallel_degree: 3 ranks need a thread each, but there are 2 threads: at most 2 "
      "ranks would do, or set threads to at least 3");
}

}  // namespace
}  // namespace dray::engine
