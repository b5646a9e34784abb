// The number of computing threads does not change the results, and several models in a process
// share one set of threads.
#include <gtest/gtest.h>

#include <string>
#include <vector>

#include "base/machine/cpu_info.h"
#include "base/threads/worker_set.h"
#include "engine/token_engine.h"
#include "testing/engine_support.h"

namespace dray::engine {
namespace {

std::unique_ptr<Engine> Start(const testing::GoldenModel& golden, int num_threads,
                              int num_prompt_threads) {
  auto model = LoadModel({.model_dir = golden.dir,
                          .format = kernels::WeightFormat::kF32,
                          .backend_options = {.cpu = {.num_threads = num_threads,
                                                      .num_prompt_threads = num_prompt_threads}}});
  EXPECT_TRUE(model.ok()) << model.status().ToString();
  auto engine = StartEngine(std::move(*model), {.max_sequences = 8, .block_size = 16});
  EXPECT_TRUE(engine.ok()) << engine.status().ToString();
  return std::move(*engine);
}

std::vector<std::shared_ptr<RecordingSink>> Ask(Engine& engine,
                                                const testing::GoldenModel& golden) {
  std::vector<std::shared_ptr<RecordingSink>> sinks;
  for (const auto& prompt : golden.prompts) {
    sinks.push_back(std::make_shared<RecordingSink>());
    const auto length = static_cast<int64_t>(prompt.greedy.size());
    EXPECT_TRUE(engine.Submit(MakeRequest(prompt.ids, length), sinks.back()).ok());
  }
  return sinks;
}

void ExpectGolden(const std::vector<std::shared_ptr<RecordingSink>>& sinks,
                  const testing::GoldenModel& golden) {
  for (size_t i = 0; i < sinks.size(); ++i) {
    EXPECT_TRUE(sinks[i]->WaitForEnd().ok());
    EXPECT_EQ(sinks[i]->Ids(), golden.prompts[i].greedy);
  }
}

TEST(EngineThreadsTest, AnyNumbersOfThreadsGiveTheSameTokens) {
  const auto golden = testing::ReadGoldenModel("llama-gqa");
  constexpr int kNumbers[][2] = {{1, 1}, {1, 3}, {3, 1}, {2, 2}};
  for (const auto& [threads, prompt_threads] : kNumbers) {
    const auto engine = Start(golden, threads, prompt_threads);
    ExpectGolden(Ask(*engine, golden), golden);
  }
}

TEST(EngineThreadsTest, TwoModelsShareTheProcessors) {
  const auto first_golden = testing::ReadGoldenModel("llama-gqa");
  const auto second_golden = testing::ReadGoldenModel("gptj");
  const auto first = Start(first_golden, 0, 0), second = Start(second_golden, 0, 0);
  for (int round = 0; round < 3; ++round) {
    const auto first_sinks = Ask(*first, first_golden), second_sinks = Ask(*second, second_golden);
    ExpectGolden(first_sinks, first_golden);
    ExpectGolden(second_sinks, second_golden);
  }
  // The engines' own threads are not in the set; of these only one computes at a time.
  EXPECT_LE(WorkerSet::OfProcess()->num_threads(), UsableCpuCount() - 1);
}

}  // namespace
}  // namespace dray::engine
