// The engine with several steps in flight: requests get what they get with one, whenever the runner
// computes, and requests that end meanwhile leave nothing behind.
#include <map>
#include <random>
#include <string>
#include <tuple>
#include <utility>
#include <vector>

#include "engine/engine_core.h"
#include "engine/speculation/model_drafter.h"
#include "engine/speculation/prompt_lookup.h"
#include "engine/testing/test_runners.h"
#include "testing/engine_support.h"

namespace dray::engine {
namespace {

using Sinks = std::vector<std::shared_ptr<RecordingSink>>;

class StepsInFlightTest : public ::testing::TestWithParam<std::tuple<size_t, ComputeTime>> {
 protected:
  void SetUp() override {
    golden_ = testing::ReadGoldenModel("llama-gqa");
    model_ = LoadGolden(golden_);
    ASSERT_NE(model_, nullptr);
  }

  RunnerMaker Holding() {
    const auto& [max_in_flight, time] = GetParam();
    return HoldingRunners(
        {.max_in_flight = max_in_flight, .time = time, .num_overlaps = &num_overlaps_});
  }
  void ExpectOverlaps(int64_t at_least) const {
    if (std::get<0>(GetParam()) > 1) {
      EXPECT_GE(num_overlaps_, at_least);
    }
  }

  // Steps of few tokens, so that there is something to plan beside a step in flight.
  static EngineOptions SmallSteps() {
    return {.max_batch_tokens = 12,
            .max_prefill_chunk_tokens = 7,
            .max_sequences = 8,
            .block_size = 16,
            .speculation = {.costs = SpeculationOptions::Costs::kFixed}};
  }
  // Room for the longest of the requests, and for few others beside it.
  EngineOptions Cramped() const {
    EngineOptions options = SmallSteps();
    options.max_context_tokens = 112;
    options.kv_cache_bytes = 14 * BlockBytes();
    return options;
  }
  int64_t BlockBytes() const {
    return model::KvCache::BlockBytes(model_->description.config.stack,
                                      {.num_blocks = 1, .block_size = 16});
  }

  // Greedy, sampled, several sequences, and log-probabilities.
  std::vector<GenerateRequest> ManyKinds() const {
    std::vector<GenerateRequest> requests;
    for (size_t i = 0; i < 10; ++i) {
      const auto& ids = golden_.prompts[i % golden_.prompts.size()].ids;
      if (ids.size() > 72) continue;
      GenerateRequest request = MakeRequest(ids, 36);
      request.params.seed = 7 + i;
      request.params.do_sample = i % 2 == 1;
      request.params.num_logprobs = 2;
      if (i % 3 == 1) request.params.n = 3;
      if (i % 3 == 2) request.params.prompt_logprobs = 1;
      requests.push_back(std::move(request));
    }
    return requests;
  }

  // Runs the requests, a new one in every step.
  Sinks Run(const std::vector<GenerateRequest>& requests, const EngineOptions& options,
            std::unique_ptr<Drafter> drafter, const RunnerMaker& make_runner) {
    auto core = EngineCore::Make(*model_, options, std::move(drafter), make_runner);
    EXPECT_TRUE(core.ok()) << core.status().ToString();
    Sinks sinks;
    for (const GenerateRequest& request : requests) {
      EXPECT_TRUE((*core)->Validate(request).ok());
      sinks.push_back(std::make_shared<RecordingSink>());
      (*core)->Add(RequestId(sinks.size()), request, sinks.back());
      (*core)->Step();
    }
    while ((*core)->Step()) {
      EXPECT_TRUE((*core)->CheckIntegrity().ok()) << (*core)->CheckIntegrity().ToString();
    }
    stats_ = (*core)->stats();
    EXPECT_EQ(stats_.free_blocks, stats_.total_blocks);
    return sinks;
  }

  static void ExpectSame(const Sinks& sinks, const Sinks& expected) {
    ASSERT_EQ(sinks.size(), expected.size());
    for (size_t i = 0; i < sinks.size(); ++i) {
      SCOPED_TRACE(i);
      EXPECT_TRUE(sinks[i]->status().ok()) << sinks[i]->status().ToString();
      EXPECT_EQ(sinks[i]->Reasons(), expected[i]->Reasons());
      ASSERT_EQ(sinks[i]->Prompts().size(), expected[i]->Prompts().size());
      for (size_t j = 0; j < sinks[i]->Prompts().size(); ++j) {
        EXPECT_EQ(sinks[i]->Prompts()[j].logprobs, expected[i]->Prompts()[j].logprobs);
      }
      for (int idx = 0; idx < 3; ++idx) ExpectSameTokens(*sinks[i], *expected[i], idx);
    }
  }

  static void ExpectSameTokens(RecordingSink& sink, RecordingSink& expected, int sequence_idx) {
    const auto got = sink.Tokens(sequence_idx);
    const auto want = expected.Tokens(sequence_idx);
    ASSERT_EQ(got.size(), want.size());
    for (size_t i = 0; i < got.size(); ++i) {
      EXPECT_EQ(got[i].token.id, want[i].token.id);
      EXPECT_EQ(got[i].token.logprob, want[i].token.logprob);
      EXPECT_EQ(got[i].tops.size(), want[i].tops.size());
    }
  }

  testing::GoldenModel golden_;
  std::unique_ptr<LoadedModel> model_;
  EngineStats stats_;
  int64_t num_overlaps_ = 0;
};

TEST_P(StepsInFlightTest, GoldenTokensComeOut) {
  std::vector<GenerateRequest> requests;
  for (const auto& prompt : golden_.prompts) {
    requests.push_back(MakeRequest(prompt.ids, std::ssize(prompt.greedy)));
  }
  const Sinks sinks = Run(requests, SmallSteps(), nullptr, Holding());
  for (size_t i = 0; i < sinks.size(); ++i) EXPECT_EQ(sinks[i]->Ids(), golden_.prompts[i].greedy);
  ExpectOverlaps(20);
}

TEST_P(StepsInFlightTest, EventsAreThoseOfOneStepAtATime) {
  const auto requests = ManyKinds();
  for (const EngineOptions& options : {SmallSteps(), Cramped()}) {
    const Sinks expected = Run(requests, options, nullptr, MakeRunner);
    ExpectSame(Run(requests, options, nullptr, Holding()), expected);
  }
  EXPECT_GT(stats_.preemptions, 0U);
  ExpectOverlaps(20);
}

TEST_P(StepsInFlightTest, GuessesAreNoDifferent) {
  const auto requests = ManyKinds();
  for (const EngineOptions& options : {SmallSteps(), Cramped()}) {
    const Sinks expected = Run(requests, options, nullptr, MakeRunner);
    ExpectSame(Run(requests, options, MakePromptLookup(1, 3), Holding()), expected);
    // The same model guesses right, unless its cache holds something wrong.
    ExpectSame(Run(requests, options, MakeModelDrafter(*model_, 0), Holding()), expected);
    EXPECT_EQ(stats_.accepted_tokens, stats_.drafted_tokens);
    EXPECT_GT(stats_.accepted_tokens, 100U);
  }
}

TEST_P(StepsInFlightTest, CancellationsInFlightDisturbNobody) {
  EngineOptions options = SmallSteps();
  options.max_context_tokens = 320;
  options.kv_cache_bytes = 30 * BlockBytes();
  auto core = EngineCore::Make(*model_, options, nullptr, Holding());
  ASSERT_TRUE(core.ok());
  std::mt19937 random(42);
  std::map<uint64_t, std::pair<size_t, std::shared_ptr<RecordingSink>>> open;
  for (uint64_t id = 1; id <= 250; ++id) {
    const size_t prompt = random() % golden_.prompts.size();
    GenerateRequest request = MakeRequest(golden_.prompts[prompt].ids, 1 + random() % 16);
    request.params.n = 1 + random() % 2;
    open[id] = {prompt, std::make_shared<RecordingSink>()};
    (*core)->Add(RequestId(id), request, open[id].second);
    for (int step = 0; step < 4; ++step) {
      (*core)->Step();
      ASSERT_TRUE((*core)->CheckIntegrity().ok()) << (*core)->CheckIntegrity().ToString();
    }
    if (random() % 2 == 0) {
      (*core)->End(RequestId(1 + random() % id), {StatusCode::kCancelled, "gone"});
    }
  }
  while ((*core)->Step()) {
  }
  int finished = 0;
  for (const auto& [id, entry] : open) {
    const auto& [prompt, sink] = entry;
    ASSERT_EQ(sink->num_ends(), 1);
    const auto ids = sink->Ids();
    EXPECT_TRUE(std::equal(ids.begin(), ids.end(), golden_.prompts[prompt].greedy.begin()));
    if (sink->status().ok()) ++finished;
  }
  EXPECT_GT(finished, 50);
  ExpectOverlaps(100);
  EXPECT_TRUE((*core)->idle());
  EXPECT_EQ((*core)->stats().free_blocks, (*core)->stats().total_blocks);
}

TEST_P(StepsInFlightTest, AnEngineMayEndWithStepsInFlight) {
  for (const bool collect : {true, false}) {
    auto core = EngineCore::Make(*model_, SmallSteps(), nullptr, Holding());
    ASSERT_TRUE(core.ok());
    Sinks sinks;
    for (uint64_t id = 0; id < 4; ++id) {
      sinks.push_back(std::make_shared<RecordingSink>());
      (*core)->Add(RequestId(id), MakeRequest(golden_.prompts.back().ids, 30), sinks.back());
    }
    (*core)->Step();
    (*core)->EndAll({StatusCode::kCancelled, "the server is shutting down"});
    for (const auto& sink : sinks) EXPECT_EQ(sink->status().code(), StatusCode::kCancelled);
    if (!collect) continue;
    EXPECT_EQ((*core)->idle(), std::get<0>(GetParam()) == 1) << "steps are still in flight";
    while ((*core)->Step()) {
    }
    EXPECT_TRUE((*core)->idle());
    EXPECT_EQ((*core)->stats().free_blocks, (*core)->stats().total_blocks);
  }
}

INSTANTIATE_TEST_SUITE_P(Runners, StepsInFlightTest,
                         ::testing::Combine(::testing::Values(1, 2, 3),
                                            ::testing::Values(ComputeTime::kInSubmit,
                                                              ComputeTime::kInCollect)),
                         [](const auto& runner) {
                           const bool early = std::get<1>(runner.param) == ComputeTime::kInSubmit;
                           return std::to_string(std::get<0>(runner.param)) +
                                  (early ? "_early" : "_late");
                         });

}  // namespace
}  // namespace dray::engine
