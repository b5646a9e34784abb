// The runner of ranks that are processes: results are bit by bit those of ranks that are threads, and
// a rank that is lost ends the runner with its name, and leaves no process behind.
#include "engine/runner/processes/process_runner.h"

#include <signal.h>
#include <unistd.h>

#include <chrono>
#include <filesystem>
#include <fstream>
#include <memory>
#include <stop_token>
#include <string>
#include <utility>
#include <vector>

#include "base/machine/temporary_folder.h"
#include "base/testing/source_dir.h"
#include "engine/runner/processes/rank_processes.h"
#include "testing/rank_processes.h"

namespace dray::engine {
namespace {

class SameBitsTest : public ::testing::TestWithParam<Shape> {};

TEST_P(SameBitsTest, Floats) {
  for (const char* variant : {"llama-gqa", "gptj", "bloom-6-heads"}) {
    SCOPED_TRACE(variant);
    const auto golden = testing::ReadGoldenModel(variant);
    ExpectBitsOfThreads(OptionsFor(golden, GetParam(), RankTransport::kProcesses), golden);
  }
}

TEST_P(SameBitsTest, IntegersAndAnIntegerCache) {
  const auto golden = testing::ReadGoldenModel("qwen3");
  LoadModelOptions options = OptionsFor(golden, GetParam(), RankTransport::kProcesses);
  options.format = kernels::WeightFormat::kI8;
  ExpectBitsOfThreads(options, golden, DType::kI8);
}

// Files whose integers are kept: one cut within its blocks, and one with channels in another order.
TEST_P(SameBitsTest, QuantisedFiles) {
  for (const char* variant : {"gguf/quantised-llama-q4_k_m", "quantized/gptq-desc-act"}) {
    SCOPED_TRACE(variant);
    const auto golden = testing::ReadGoldenDir(SourceDir() / "tests/golden" / variant);
    LoadModelOptions options = OptionsFor(golden, GetParam(), RankTransport::kProcesses);
    const auto file = golden.dir / "model.gguf";
    if (std::filesystem::exists(file)) options.model_dir = file;
    options.format.reset();
    ExpectBitsOfThreads(options, golden);
  }
}

INSTANTIATE_TEST_SUITE_P(Shapes, SameBitsTest,
                         ::testing::Values(Shape{1, 1}, Shape{2, 1}, Shape{1, 2}, Shape{2, 2}));

TEST(ProcessRunnerTest, TheModelTellsWhatTheRanksHave) {
  const auto golden = testing::ReadGoldenModel("llama-gqa");
  const auto threads = LoadRanks(OptionsFor(golden, {2, 1}, RankTransport::kThreads));
  const auto processes = LoadRanks(OptionsFor(golden, {2, 1}, RankTransport::kProcesses));
  ASSERT_NE(processes, nullptr);
  EXPECT_EQ(processes->weight_bytes(), threads->weight_bytes());
  EXPECT_EQ(processes->checkpoint_format, threads->checkpoint_format);
  EXPECT_EQ(processes->ranks[0].weights.size_bytes(), 0U);
  EXPECT_EQ(ChildrenOf(::getpid()).size(), 2U);
}

TEST(ProcessRunnerTest, StepsMayBeInFlightAndAbandoned) {
  const auto golden = testing::ReadGoldenModel("llama-gqa");
  const auto model = LoadRanks(OptionsFor(golden, {1, 2}, RankTransport::kProcesses));
  const auto runner = MakeSmallRunner(*model);
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

// The states of all rows that the step wants.
std::vector<float> StatesOf(ModelRunner& runner, const RunnerStep& step) {
  std::vector<float> states;
  runner.Submit(step);
  for (bool is_last = false; !is_last;) {
    const StepPiece piece = runner.Collect();
    EXPECT_TRUE(piece.status.ok()) << piece.status.ToString();
    states.insert(states.end(), piece.states.begin(), piece.states.end());
    is_last = piece.is_last;
  }
  return states;
}

TEST(ProcessRunnerTest, StatesComeIfTheStepWantsThem) {
  const auto golden = testing::ReadGoldenModel("llama-gqa");
  RunnerStep step = StepOver(Numbers(9), 9, 8);
  for (const Shape& shape : {Shape{2, 1}, Shape{1, 2}}) {
    const auto threads = LoadRanks(OptionsFor(golden, shape, RankTransport::kThreads));
    const auto processes = LoadRanks(OptionsFor(golden, shape, RankTransport::kProcesses));
    const auto here = MakeSmallRunner(*threads), there = MakeSmallRunner(*processes);
    step.wants_states = true;
    const std::vector<float> states = StatesOf(*there, step);
    EXPECT_EQ(states.size(), static_cast<size_t>(8 * threads->description.config.embed_dim));
    EXPECT_EQ(states, StatesOf(*here, step));
    step.wants_states = false;
    EXPECT_TRUE(StatesOf(*there, step).empty());
  }
}

class LostRankTest : public ::testing::TestWithParam<std::pair<Shape, size_t>> {
 protected:
  void SetUp() override {
    golden_ = testing::ReadGoldenModel("llama-gqa");
    LoadModelOptions options = OptionsFor(golden_, GetParam().first, RankTransport::kProcesses);
    options.ranks.timeout = timeout_;
    model_ = LoadRanks(options);
    ASSERT_NE(model_, nullptr);
    runner_ = MakeSmallRunner(*model_);
    EXPECT_TRUE(RunToEnd(*runner_, step_, &expected_).status.ok());
    ranks_ = ChildrenOf(::getpid());
    ASSERT_EQ(ranks_.size(), model_->ranks.size());
  }

  // Every step fails for `reason`, the processes are gone, and a new runner computes as before.
  void ExpectLostAndMadeAgain(const std::string& reason) {
    for (int i = 0; i < 2; ++i) {
      const StepPiece piece = RunToEnd(*runner_, step_);
      EXPECT_EQ(piece.scope, FailureScope::kRunner);
      EXPECT_NE(piece.status.message().find(reason), std::string::npos) << piece.status.ToString();
    }
    EXPECT_EQ(ChildrenOf(::getpid()), std::vector<pid_t>());
    EXPECT_TRUE(runner_->replaceable());
    runner_.reset();
    runner_ = MakeSmallRunner(*model_);
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
  SignalRank(lost_process(), SIGKILL);
  ExpectLostAndMadeAgain(lost() + " was ended by signal 9 (Killed)");
}

class StoppedRankTest : public LostRankTest {
 protected:
  StoppedRankTest() { timeout_ = std::chrono::milliseconds(3000); }
};

TEST_P(StoppedRankTest, Stopped) {
  SignalRank(lost_process(), SIGSTOP);
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
  EXPECT_EQ(ChildrenOf(::getpid()), std::vector<pid_t>());
}

TEST(ProcessRunnerTest, ARankThatHangsWhileItLoadsIsLost) {
  const auto folder = TemporaryFolder::Make(::testing::TempDir(), "dray-hangs-");
  ASSERT_TRUE(folder.ok());
  const auto program = folder->path() / "hangs";
  std::ofstream(program) << "#!/bin/sh\nexec sleep 1000\n";
  std::filesystem::permissions(program, std::filesystem::perms::owner_all);
  LoadModelOptions options =
      OptionsFor(testing::ReadGoldenModel("llama-gqa"), {2, 1}, RankTransport::kProcesses);
  options.ranks.program = program;
  const Status status = RankProcesses::Start(options, std::chrono::milliseconds(300)).status();
  EXPECT_EQ(status.code(), StatusCode::kUnavailable);
  EXPECT_EQ(
      status.message(),
      "the ranks have not loaded the model within 300 ms, ten times what their first start took "
      "and rank_timeout");
  EXPECT_EQ(ChildrenOf(::getpid()), std::vector<pid_t>());
}

TEST(ProcessRunnerTest, NoJobIsStartedWithoutTheLibraryOfMpi) {
  const auto golden = testing::ReadGoldenModel("llama-gqa");
  LoadModelOptions options = OptionsFor(golden, {2, 1}, RankTransport::kMpi);
  options.ranks.program = "/no/such/dray";
  const Status status = LoadModel(options).status();
  EXPECT_EQ(status.code(), StatusCode::kNotFound);
  EXPECT_EQ(status.message(),
            "there is no /no/such/libdray_mpi.so: this dray was built without MPI; install "
            "libopenmpi-dev and build it again, or copy the file from such a build");
  EXPECT_EQ(ChildrenOf(::getpid()), std::vector<pid_t>());
}

TEST(ProcessRunnerTest, ALoadThatIsStoppedLeavesNoProcess) {
  const auto golden = testing::ReadGoldenModel("llama-gqa");
  LoadModelOptions options = OptionsFor(golden, {2, 1}, RankTransport::kProcesses);
  std::stop_source stop;
  stop.request_stop();
  options.stop = stop.get_token();
  EXPECT_EQ(LoadModel(options).status().code(), StatusCode::kCancelled);
  EXPECT_EQ(ChildrenOf(::getpid()), std::vector<pid_t>());
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
