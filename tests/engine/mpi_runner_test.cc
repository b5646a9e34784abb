// Ranks that are the processes of an MPI job: one that the front starts, and one that a user has
// started.
#include <signal.h>
#include <unistd.h>

#include <cstdio>
#include <fstream>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "testing/process.h"
#include "testing/rank_processes.h"

namespace dray::engine {
namespace {

using dray::testing::Process;
using dray::testing::ProcessResult;
using dray::testing::RunProcess;

LoadModelOptions JobOptions(const testing::GoldenModel& golden, const Shape& shape) {
  return OptionsFor(golden, shape, RankTransport::kMpi);
}

class MpiBitsTest : public ::testing::TestWithParam<Shape> {};

TEST_P(MpiBitsTest, AreThoseOfThreads) {
  for (const char* variant : {"llama-gqa", "gptj"}) {
    SCOPED_TRACE(variant);
    const auto golden = testing::ReadGoldenModel(variant);
    ExpectBitsOfThreads(JobOptions(golden, GetParam()), golden);
  }
  const auto golden = testing::ReadGoldenModel("qwen3");
  LoadModelOptions options = JobOptions(golden, GetParam());
  options.format = kernels::WeightFormat::kI8;
  ExpectBitsOfThreads(options, golden, DType::kI8);
}

INSTANTIATE_TEST_SUITE_P(Shapes, MpiBitsTest,
                         ::testing::Values(Shape{1, 1}, Shape{2, 1}, Shape{1, 2}, Shape{2, 2}));

TEST(MpiRunnerTest, TheModelTellsWhatTheRanksHave) {
  const auto golden = testing::ReadGoldenModel("llama-gqa");
  const auto threads = LoadRanks(OptionsFor(golden, {2, 1}, RankTransport::kThreads));
  const auto job = LoadRanks(JobOptions(golden, {2, 1}));
  ASSERT_NE(job, nullptr);
  EXPECT_EQ(job->ranks[1].weight_bytes(), threads->ranks[1].weight_bytes());
}

// A rank that is killed or stopped ends the job, and a new runner has a new one.
class LostMpiRankTest : public ::testing::TestWithParam<std::pair<int, size_t>> {};

TEST_P(LostMpiRankTest, IsNoticedAndReplaced) {
  const auto& [signal, rank] = GetParam();
  const auto golden = testing::ReadGoldenModel("llama-gqa");
  LoadModelOptions options = JobOptions(golden, {1, 2});
  if (signal == SIGSTOP) options.ranks.timeout = std::chrono::milliseconds(3000);
  const auto model = LoadRanks(options);
  ASSERT_NE(model, nullptr);
  auto runner = MakeSmallRunner(*model);
  ASSERT_NE(runner, nullptr);
  const RunnerStep step = StepOver(Numbers(9), 9, 8);
  std::vector<float> before, after;
  EXPECT_TRUE(RunToEnd(*runner, step, &before).status.ok());
  const auto mpiruns = ChildrenOf(::getpid());
  ASSERT_EQ(mpiruns.size(), 1U);
  const auto ranks = ChildrenOf(mpiruns.front());
  ASSERT_EQ(ranks.size(), 2U);
  SignalRank(ranks[rank], signal);
  const StepPiece piece = RunToEnd(*runner, step);
  EXPECT_EQ(piece.scope, FailureScope::kRunner);
  EXPECT_NE(piece.status.message().find("rank " + std::to_string(rank)), std::string::npos)
      << piece.status.ToString();
  EXPECT_EQ(ChildrenOf(::getpid()), std::vector<pid_t>());
  EXPECT_TRUE(runner->replaceable());
  runner.reset();
  runner = MakeSmallRunner(*model);
  ASSERT_NE(runner, nullptr);
  EXPECT_TRUE(RunToEnd(*runner, step, &after).status.ok());
  EXPECT_EQ(after, before);
}

INSTANTIATE_TEST_SUITE_P(Ranks, LostMpiRankTest,
                         ::testing::Values(std::pair(SIGKILL, 0), std::pair(SIGKILL, 1),
                                           std::pair(SIGSTOP, 1)));

std::vector<std::string> UserJob(int world, const std::vector<std::string>& arguments) {
  std::vector<std::string> argv = {
      DRAY_MPIRUN, "--allow-run-as-root", "--oversubscribe", "--bind-to", "none",
      "-np",       std::to_string(world), DRAY_PROGRAM};
  argv.insert(argv.end(), arguments.begin(), arguments.end());
  return argv;
}

std::vector<std::string> Generate(const std::vector<std::string>& degrees) {
  std::vector<std::string> arguments = {"generate",         "demo", "--prompt",  "Once upon a time",
                                        "--max-new-tokens", "20",   "--threads", "4",
                                        "--oversubscribe",  "true"};
  arguments.insert(arguments.end(), degrees.begin(), degrees.end());
  return arguments;
}

// Without degrees, the processes of one machine are the ranks of one stage.
TEST(UserJobTest, AnswersAreThoseOfThreads) {
  const auto expect = [](int world, const std::vector<std::string>& degrees,
                         const std::vector<std::string>& of_threads) {
    std::vector<std::string> argv = {DRAY_PROGRAM};
    const auto arguments = Generate(of_threads);
    argv.insert(argv.end(), arguments.begin(), arguments.end());
    const ProcessResult threads = RunProcess(argv);
    ASSERT_EQ(threads.exit_code, 0) << threads.errors;
    const ProcessResult job = RunProcess(UserJob(world, Generate(degrees)));
    EXPECT_EQ(job.exit_code, 0) << job.errors;
    EXPECT_EQ(job.output, threads.output);
  };
  expect(2, {}, {"--tensor-parallel-degree", "2"});
  expect(2, {"--pipeline-parallel-degree", "2"}, {"--pipeline-parallel-degree", "2"});
  expect(2, {"--tensor-parallel-degree", "max"}, {"--tensor-parallel-degree", "2"});
  expect(2, {"--tensor-parallel-degree", "max", "--pipeline-parallel-degree", "2"},
         {"--pipeline-parallel-degree", "2"});
}

TEST(UserJobTest, OtherDegreesThanProcessesAreRefused) {
  const ProcessResult job = RunProcess(UserJob(2, Generate({"--tensor-parallel-degree", "3"})));
  EXPECT_NE(job.exit_code, 0);
  EXPECT_NE(job.errors.find("mpirun has started 2 processes, but tensor_parallel_degree 3"),
            std::string::npos)
      << job.errors;
}

// mpirun ends all processes with the first one, and the server with them. The time that a loaded machine
// may take is ten times what they take, and more.
class UserServerTest : public ::testing::TestWithParam<size_t> {};

TEST_P(UserServerTest, EndsWithItsRanksAndTheReason) {
  constexpr int kMostMs = 30'000;
  Process job(UserJob(2, {"serve", "demo", "--port", "0", "--oversubscribe", "true"}));
  ASSERT_TRUE(job.ReadUntil("serving demo on").has_value()) << job.output();
  const auto ranks = ChildrenOf(job.pid());
  ASSERT_EQ(ranks.size(), 2U);
  ::kill(ranks[GetParam()], SIGKILL);
  const std::string name = "rank " + std::to_string(GetParam());
  EXPECT_TRUE(job.ReadUntil(name, kMostMs).has_value()) << job.output();
  EXPECT_GT(job.Wait(kMostMs), 0) << job.output();
  // mpirun does not wait for the ends of its processes.
  int waited_ms = 0;
  for (const pid_t rank : ranks) {
    for (; StateOf(rank).letter != '-' && waited_ms < kMostMs; ++waited_ms) ::usleep(1000);
    EXPECT_EQ(StateOf(rank).letter, '-') << "process " << rank << " is left";
  }
}

INSTANTIATE_TEST_SUITE_P(Ranks, UserServerTest, ::testing::Values(0U, 1U));

// mpirun has no slots for so many.
TEST(MpiRunnerTest, MoreRanksThanSlotsAreRefusedWithTheNextStep) {
  const auto golden = testing::ReadGoldenModel("llama-gqa");
  const std::string hosts = ::testing::TempDir() + "one_slot";
  std::ofstream(hosts) << "localhost slots=1\n";
  LoadModelOptions options = JobOptions(golden, {2, 1});
  options.backend_options.cpu.oversubscribe = false;
  options.ranks.hostfile = hosts;
  const Status refused = LoadModel(options).status();
  EXPECT_NE(refused.message().find("if it has fewer slots than the 2 ranks need, set tensor"),
            std::string::npos)
      << refused.ToString();
  std::remove(hosts.c_str());
}

}  // namespace
}  // namespace dray::engine
