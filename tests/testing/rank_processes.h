// Shared by the tests of ranks in processes: models that are computed by them, and which processes
// there are.
#pragma once

#include <dirent.h>
#include <signal.h>
#include <unistd.h>

#include <algorithm>
#include <cstdlib>
#include <fstream>
#include <memory>
#include <sstream>
#include <string>
#include <utility>
#include <vector>

#include "engine/runner/make_runner.h"
#include "engine/testing/sequence_scorer.h"
#include "testing/runner_support.h"

namespace dray::engine {

// {ranks in a stage, stages}
using Shape = std::pair<int64_t, int64_t>;

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

// The whole of a file of /proc, whose size the system does not tell.
inline std::string ReadProcFile(pid_t pid, const std::string& name) {
  std::ifstream file("/proc/" + std::to_string(pid) + "/" + name);
  std::stringstream text;
  text << file.rdbuf();
  return text.str();
}

struct ProcessState {
  char letter = '-';  // 'T' if it is stopped; '-' if there is no such process
  pid_t parent = 0;
};

// A process that has ended, and that its parent has not waited for, is none.
inline ProcessState StateOf(pid_t pid) {
  const std::string text = ReadProcFile(pid, "stat");
  const size_t name_end = text.rfind(") ");
  if (name_end == std::string::npos) return {};
  std::stringstream rest(text.substr(name_end + 2));
  ProcessState state;
  rest >> state.letter >> state.parent;
  return state.letter == 'Z' ? ProcessState() : state;
}

// Which rank a process is, by the variables that it was started with; -1 if it is none.
inline int RankOf(pid_t pid) {
  const std::string variables = std::string(1, '\0') + ReadProcFile(pid, "environ");
  for (const std::string name : {"OMPI_COMM_WORLD_RANK=", "RANK="}) {
    const size_t found = variables.find(std::string(1, '\0') + name);
    if (found != std::string::npos) return std::atoi(variables.c_str() + found + 1 + name.size());
  }
  return -1;
}

// The processes that `parent` has started, in the order of their ranks.
inline std::vector<pid_t> ChildrenOf(pid_t parent) {
  std::vector<pid_t> children;
  DIR* const folder = ::opendir("/proc");
  while (const dirent* entry = ::readdir(folder)) {
    const pid_t pid = std::atoi(entry->d_name);
    if (pid > 0 && StateOf(pid).parent == parent) children.push_back(pid);
  }
  ::closedir(folder);
  std::sort(children.begin(), children.end(),
            [](pid_t one, pid_t other) { return RankOf(one) < RankOf(other); });
  return children;
}

// Sends a signal; returns when a process that it stops is stopped.
inline void SignalRank(pid_t rank, int signal) {
  ::kill(rank, signal);
  while (signal == SIGSTOP && StateOf(rank).letter != 'T') ::usleep(1000);
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
