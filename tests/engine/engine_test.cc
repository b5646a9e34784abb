// What a request can ask of the engine besides greedy tokens, what the engine refuses, and how
// requests end.
#include <chrono>
#include <cmath>
#include <random>
#include <set>
#include <thread>

#include "engine/engine_core.h"
#include "engine/token_engine.h"
#include "testing/engine_support.h"

namespace dray::engine {
namespace {

class EngineTest : public ::testing::Test {
 protected:
  void SetUp() override {
    golden_ = testing::ReadGoldenModel("llama-gqa");
    model_ = LoadGolden(golden_);
    ASSERT_NE(model_, nullptr);
  }

  std::unique_ptr<EngineCore> MakeCore(EngineOptions options = {.max_sequences = 8,
                                                                .block_size = 16}) {
    auto core = EngineCore::Make(*model_, options);
    EXPECT_TRUE(core.ok()) << core.status().ToString();
    return std::move(*core);
  }

  std::shared_ptr<RecordingSink> Run(EngineCore& core, GenerateRequest request) {
    auto sink = std::make_shared<RecordingSink>();
    const Status valid = core.Validate(request);
    EXPECT_TRUE(valid.ok()) << valid.ToString();
    core.Add(RequestId(next_id_++), std::move(request), sink);
    while (core.Step()) {
    }
    return sink;
  }

  const testing::GoldenPrompt& Prompt(size_t length) const {
    for (const auto& prompt : golden_.prompts) {
      if (prompt.ids.size() == length) return prompt;
    }
    ADD_FAILURE() << "no golden prompt of " << length;
    return golden_.prompts[0];
  }

  testing::GoldenModel golden_;
  std::unique_ptr<LoadedModel> model_;
  uint64_t next_id_ = 1;
};

TEST_F(EngineTest, LengthEosAndStopTokensEndASequence) {
  const auto& prompt = Prompt(17);
  auto core = MakeCore();
  auto by_length = Run(*core, MakeRequest(prompt.ids, 5));
  EXPECT_EQ(by_length->Ids(),
            std::vector<int32_t>(prompt.greedy.begin(), prompt.greedy.begin() + 5));
  EXPECT_EQ(by_length->Reasons().at(0), sampling::FinishReason::kLength);

  GenerateRequest request = MakeRequest(prompt.ids, 40);
  request.params.stop_token_ids = {prompt.greedy[9]};
  const size_t first = std::find(prompt.greedy.begin(), prompt.greedy.end(), prompt.greedy[9]) -
                       prompt.greedy.begin();
  auto by_stop = Run(*core, request);
  EXPECT_EQ(by_stop->Ids().size(), first + 1);
  EXPECT_EQ(by_stop->Reasons().at(0), sampling::FinishReason::kStopToken);

  model_->description.config.eos_token_ids = {prompt.greedy[9]};
  request = MakeRequest(prompt.ids, 40);
  request.params.ignore_eos = false;
  auto by_eos = Run(*core, request);
  EXPECT_EQ(by_eos->Ids().size(), first + 1);
  EXPECT_EQ(by_eos->Reasons().at(0), sampling::FinishReason::kEosToken);
  EXPECT_EQ(by_eos->num_ends(), 1);
}

TEST_F(EngineTest, LogProbabilitiesAreThoseOfTheGoldenLogits) {
  const auto& prompt = Prompt(17);
  auto core = MakeCore();
  GenerateRequest request = MakeRequest(prompt.ids, 3);
  request.params.num_logprobs = 4;
  request.params.prompt_logprobs = 2;
  const auto sink = Run(*core, request);

  const auto log_softmax = [](const std::vector<float>& logits, int32_t id) {
    double sum = 0;
    for (const float logit : logits) sum += std::exp(static_cast<double>(logit));
    return logits[id] - std::log(sum);
  };
  const TokenEvent first = sink->Tokens()[0];
  // 2e-4: twice the agreement of the logits themselves, which are some units large.
  EXPECT_NEAR(first.token.logprob, log_softmax(prompt.logits.back(), first.token.id), 2e-3);
  ASSERT_EQ(first.tops.size(), 4u);
  EXPECT_EQ(first.tops[0].id, first.token.id);
  EXPECT_GE(first.tops[0].logprob, first.tops[1].logprob);

  ASSERT_EQ(sink->Prompts().size(), 1u);
  const PromptEvent scores = sink->Prompts()[0];
  ASSERT_EQ(scores.logprobs.size(), prompt.ids.size() - 1);
  for (size_t i = 0; i + 1 < prompt.logit_positions.size(); ++i) {
    const int32_t position = prompt.logit_positions[i];
    EXPECT_NEAR(scores.logprobs[position], log_softmax(prompt.logits[i], prompt.ids[position + 1]),
                2e-3);
    EXPECT_EQ(scores.tops[position].size(), 2u);
  }
}

TEST_F(EngineTest, PromptScoresSurviveChunkingAndPreemption) {
  auto whole = MakeCore();
  // Both requests fit while they have their prompts only, but not at their full length, so one is
  // preempted.
  GenerateRequest request = MakeRequest(Prompt(33).ids, 60);
  request.params.prompt_logprobs = 0;
  const auto expected = Run(*whole, request)->Prompts();

  const int64_t block = model::KvCache::BlockBytes(model_->description.config.stack,
                                                   {.num_blocks = 1, .block_size = 16});
  auto cramped = MakeCore({.max_batch_tokens = 16,
                           .max_prefill_chunk_tokens = 7,
                           .max_sequences = 8,
                           .max_context_tokens = 112,
                           .kv_cache_bytes = 8 * block,
                           .block_size = 16});
  std::vector<std::shared_ptr<RecordingSink>> sinks;
  for (uint64_t i = 0; i < 4; ++i) {
    sinks.push_back(std::make_shared<RecordingSink>());
    cramped->Add(RequestId(i), request, sinks.back());
  }
  while (cramped->Step()) {
  }
  for (const auto& sink : sinks) {
    ASSERT_EQ(sink->Prompts().size(), 1u);
    EXPECT_EQ(sink->Prompts()[0].logprobs, expected[0].logprobs);
  }
  EXPECT_GT(cramped->stats().preemptions, 0u);
}

TEST_F(EngineTest, SamplesOfOneRequestDifferAndRepeat) {
  GenerateRequest request = MakeRequest(Prompt(33).ids, 24);
  request.params.do_sample = true;
  request.params.temperature = 1.5;
  request.params.n = 4;
  request.params.seed = 7;
  auto core = MakeCore();
  const auto first = Run(*core, request);
  const auto again = Run(*core, request);
  std::set<std::vector<int32_t>> distinct;
  for (int i = 0; i < 4; ++i) {
    EXPECT_EQ(first->Ids(i).size(), 24u);
    EXPECT_EQ(first->Ids(i), again->Ids(i));
    distinct.insert(first->Ids(i));
  }
  EXPECT_EQ(distinct.size(), 4u);
  // A greedy fork shares the prompt's blocks and must not disturb its siblings.
  request.params.do_sample = false;
  const auto greedy = Run(*core, request);
  for (int i = 0; i < 4; ++i) {
    EXPECT_EQ(greedy->Ids(i),
              std::vector<int32_t>(Prompt(33).greedy.begin(), Prompt(33).greedy.begin() + 24));
  }
  EXPECT_EQ(core->stats().free_blocks, core->stats().total_blocks);
}

TEST_F(EngineTest, SampledTokensDoNotDependOnTheBatch) {
  GenerateRequest request = MakeRequest(Prompt(16).ids, 30);
  request.params.do_sample = true;
  request.params.top_p = 0.9;
  request.params.seed = 11;
  auto core = MakeCore();
  const auto alone = Run(*core, request)->Ids();
  std::vector<std::shared_ptr<RecordingSink>> others;
  auto sink = std::make_shared<RecordingSink>();
  for (uint64_t i = 0; i < 5; ++i) {
    others.push_back(std::make_shared<RecordingSink>());
    core->Add(RequestId(100 + i), MakeRequest(golden_.prompts[i].ids, 20), others.back());
    core->Step();
  }
  core->Add(RequestId(200), request, sink);
  while (core->Step()) {
  }
  EXPECT_EQ(sink->Ids(), alone);
}

TEST_F(EngineTest, RefusesWhatCannotBe) {
  auto core = MakeCore();
  const auto message = [&](const GenerateRequest& request) {
    return core->Validate(request).message();
  };
  EXPECT_NE(message(MakeRequest({}, 1)).find("no tokens"), std::string::npos);
  EXPECT_NE(message(MakeRequest({100000}, 1)).find("100000"), std::string::npos);
  EXPECT_NE(message(MakeRequest({-1}, 1)).find("-1"), std::string::npos);
  EXPECT_NE(message(MakeRequest(std::vector<int32_t>(100000, 1), 1)).find("100000 tokens"),
            std::string::npos);
  EXPECT_NE(message(MakeRequest({1}, 1 << 20)).find("max_new_tokens"), std::string::npos);
  const auto huge = EngineCore::Make(*model_, {.max_context_tokens = 1 << 30});
  ASSERT_FALSE(huge.ok());
  EXPECT_NE(huge.status().message().find("max_model_len"), std::string::npos);
  const auto tiny = EngineCore::Make(*model_, {.max_context_tokens = 256, .kv_cache_bytes = 1000});
  ASSERT_FALSE(tiny.ok());
  EXPECT_NE(tiny.status().message().find("kv_cache_bytes"), std::string::npos);
}

TEST_F(EngineTest, RandomCancellationsLeakNothingAndDisturbNobody) {
  std::mt19937 random(42);
  const int64_t block = model::KvCache::BlockBytes(model_->description.config.stack,
                                                   {.num_blocks = 1, .block_size = 16});
  auto core = MakeCore({.max_batch_tokens = 48,
                        .max_prefill_chunk_tokens = 20,
                        .max_sequences = 8,
                        .max_context_tokens = 320,
                        .kv_cache_bytes = 30 * block,
                        .block_size = 16});
  std::map<uint64_t, std::pair<size_t, std::shared_ptr<RecordingSink>>> open;
  std::set<uint64_t> cancelled;
  int finished = 0;
  uint64_t id = 0;
  for (int step = 0; step < 1500; ++step) {
    if (random() % 4 == 0) {
      const size_t prompt = random() % golden_.prompts.size();
      auto sink = std::make_shared<RecordingSink>();
      GenerateRequest request = MakeRequest(golden_.prompts[prompt].ids, 1 + random() % 16);
      request.params.n = 1 + random() % 2;
      core->Add(RequestId(++id), request, sink);
      open[id] = {prompt, sink};
    }
    if (!open.empty() && random() % 8 == 0) {
      auto victim = std::next(open.begin(), random() % open.size());
      core->End(RequestId(victim->first), {StatusCode::kCancelled, "gone"});
      cancelled.insert(victim->first);
    }
    core->Step();
    ASSERT_TRUE(core->CheckIntegrity().ok()) << core->CheckIntegrity().ToString();
  }
  while (core->Step()) {
  }
  for (auto& [request, entry] : open) {
    auto& [prompt, sink] = entry;
    ASSERT_EQ(sink->num_ends(), 1);
    const auto ids = sink->Ids();
    EXPECT_TRUE(std::equal(ids.begin(), ids.end(), golden_.prompts[prompt].greedy.begin()))
        << "request " << request;
    if (sink->status().ok())
      ++finished;
    else
      EXPECT_TRUE(cancelled.contains(request));
  }
  EXPECT_GT(finished, 100);
  EXPECT_EQ(core->stats().free_blocks, core->stats().total_blocks);
  EXPECT_TRUE(core->idle());
}

TEST_F(EngineTest, TheThreadServesManyCallers) {
  auto engine = StartEngine(std::move(model_), {.max_sequences = 8, .block_size = 16});
  ASSERT_TRUE(engine.ok());
  std::vector<std::thread> callers;
  std::atomic<int> right{0};
  for (int caller = 0; caller < 4; ++caller) {
    callers.emplace_back([&, caller] {
      for (int round = 0; round < 6; ++round) {
        const auto& prompt = golden_.prompts[(caller + round) % golden_.prompts.size()];
        auto sink = std::make_shared<RecordingSink>();
        const auto id = (*engine)->Submit(MakeRequest(prompt.ids, 12), sink);
        ASSERT_TRUE(id.ok());
        if (round % 3 == 2) {
          sink->WaitForTokens(2);
          (*engine)->Cancel(*id);
        }
        const Status status = sink->WaitForEnd();
        const auto ids = sink->Ids();
        const bool whole = ids.size() == 12 && status.ok();
        if (std::equal(ids.begin(), ids.end(), prompt.greedy.begin()) &&
            (whole || status.code() == StatusCode::kCancelled)) {
          ++right;
        }
      }
    });
  }
  for (std::thread& caller : callers) caller.join();
  EXPECT_EQ(right, 24);
  // The engine's thread publishes the last step's counters shortly after the events.
  for (int i = 0; i < 100 && (*engine)->stats().free_blocks != (*engine)->stats().total_blocks;
       ++i) {
    std::this_thread::sleep_for(std::chrono::milliseconds(10));
  }
  EXPECT_EQ((*engine)->stats().free_blocks, (*engine)->stats().total_blocks);
}

TEST_F(EngineTest, MoreRequestsThanRunAtATimeAreComputedInTurn) {
  auto engine = StartEngine(std::move(model_), {.max_sequences = 1, .block_size = 16});
  ASSERT_TRUE(engine.ok());
  std::vector<std::shared_ptr<RecordingSink>> sinks;
  for (int i = 0; i < 20; ++i) {
    sinks.push_back(std::make_shared<RecordingSink>());
    ASSERT_TRUE((*engine)->Submit(MakeRequest({1, 2, 3}, 60), sinks.back()).ok());
  }
  for (const auto& sink : sinks) {
    EXPECT_TRUE(sink->WaitForEnd().ok());
    EXPECT_EQ(sink->Ids().size(), 60u);
  }
}

TEST_F(EngineTest, DestructionEndsEveryRequest) {
  auto sink = std::make_shared<RecordingSink>();
  {
    auto engine = StartEngine(std::move(model_), {.max_sequences = 2, .block_size = 16});
    ASSERT_TRUE(engine.ok());
    ASSERT_TRUE((*engine)->Submit(MakeRequest({1, 2, 3}, 400), sink).ok());
    sink->WaitForTokens(1);
  }
  EXPECT_EQ(sink->num_ends(), 1);
}

}  // namespace
}  // namespace dray::engine
