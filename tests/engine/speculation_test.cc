// Speculation does not change what a request gets: with every drafter, and whatever else the engine
// computes, all events and all bits of all log-probabilities are the same as without.
#include <functional>
#include <set>
#include <string>

#include "engine/engine_core.h"
#include "engine/speculation/model_drafter.h"
#include "engine/speculation/prompt_lookup.h"
#include "engine/testing/scribe_sink.h"
#include "testing/engine_support.h"
#include "testing/oracle_drafter.h"

namespace dray::engine {
namespace {

using Sinks = std::vector<std::shared_ptr<ScribeSink>>;

class SpeculationTest : public ::testing::Test {
 protected:
  void SetUp() override { Use("llama-gqa"); }

  void Use(const std::string& variant) {
    golden_ = testing::ReadGoldenModel(variant);
    model_ = LoadGolden(golden_);
    ASSERT_NE(model_, nullptr);
  }

  int64_t vocab() const { return model_->description.config.vocab_size; }

  // Adds one request in every step, runs them all to the end, and returns their events.
  Sinks Run(const std::vector<GenerateRequest>& requests, EngineOptions options,
            std::unique_ptr<Drafter> drafter) {
    options.speculation.costs = SpeculationOptions::Costs::kFixed;
    auto core = EngineCore::Make(*model_, options, std::move(drafter));
    EXPECT_TRUE(core.ok()) << core.status().ToString();
    Sinks sinks;
    for (const GenerateRequest& request : requests) {
      const Status valid = (*core)->Validate(request);
      EXPECT_TRUE(valid.ok()) << valid.ToString();
      sinks.push_back(std::make_shared<ScribeSink>());
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

  std::unique_ptr<Drafter> Oracle(double acceptance, const std::vector<GenerateRequest>& requests,
                                  const Sinks& truth) {
    auto oracle = std::make_unique<testing::OracleDrafter>(acceptance, vocab());
    for (size_t i = 0; i < requests.size(); ++i) {
      for (const auto& [idx, ids] : truth[i]->ids) oracle->Expect(requests[i].prompt, idx, ids);
    }
    return oracle;
  }

  // Another model, on the backends of the model.
  std::unique_ptr<LoadedModel> LoadDraft(const testing::GoldenModel& golden) const {
    LoadModelOptions options = {.model_dir = golden.dir, .format = kernels::WeightFormat::kF32};
    options.backends = model_->backends();
    auto draft = LoadModel(options);
    EXPECT_TRUE(draft.ok()) << draft.status().ToString();
    return std::move(draft).value();
  }

  // The cost is given as zero. Otherwise a draft model as large as the model itself would not be
  // used.
  std::unique_ptr<Drafter> FromModel(LoadedModel& draft) const {
    return MakeModelDrafter(draft, 0);
  }

  // Runs the requests without a drafter and with each drafter, and expects the same events. Returns
  // how many guesses were right.
  uint64_t ExpectSame(const std::vector<GenerateRequest>& requests, const EngineOptions& options) {
    const Sinks truth = Run(requests, options, nullptr);
    const EngineStats plain = stats_;
    EXPECT_EQ(plain.drafted_tokens, 0u);
    const auto other = LoadDraft(testing::ReadGoldenModel("llama"));
    const std::pair<const char*, std::function<std::unique_ptr<Drafter>()>> drafters[] = {
        {"lookup", [&] { return MakePromptLookup(1, 3); }},
        {"all right", [&] { return Oracle(1, requests, truth); }},
        {"most right", [&] { return Oracle(0.8, requests, truth); }},
        {"half right", [&] { return Oracle(0.5, requests, truth); }},
        {"all wrong", [&] { return Oracle(0, requests, truth); }},
        {"itself", [&] { return FromModel(*model_); }},
        {"another model", [&] { return FromModel(*other); }},
    };
    uint64_t num_accepted = 0;
    for (const auto& [name, make] : drafters) {
      SCOPED_TRACE(name);
      const Sinks sinks = Run(requests, options, make());
      for (size_t i = 0; i < requests.size(); ++i) {
        EXPECT_EQ(sinks[i]->shared, truth[i]->shared) << "request " << i;
        EXPECT_EQ(sinks[i]->samples, truth[i]->samples) << "request " << i;
      }
      EXPECT_EQ(stats_.generated_tokens, plain.generated_tokens);
      EXPECT_LE(stats_.accepted_tokens, stats_.drafted_tokens);
      num_accepted += stats_.accepted_tokens;
    }
    return num_accepted;
  }

  // Requests that choose greedily or draw, with all parameters that look at the history or report
  // numbers.
  std::vector<GenerateRequest> ManyKinds() const {
    std::vector<GenerateRequest> requests;
    for (size_t i = 0; i < 8; ++i) {
      GenerateRequest request = MakeRequest(golden_.prompts[i % golden_.prompts.size()].ids, 40);
      sampling::SamplingParams& params = request.params;
      params.seed = 100 + i;
      params.do_sample = i % 2 == 1;
      params.temperature = i == 3 ? 1.4 : 0.8;
      if (i == 1) params.top_k = 20;
      if (i == 2) params.repetition_penalty = 1.3;
      if (i == 3) params.top_p = 0.9;
      if (i == 4) params.num_logprobs = 3;
      if (i == 5) params.presence_penalty = params.frequency_penalty = 0.5;
      if (i == 6) params.prompt_logprobs = 2;
      if (i == 7) params.typical_p = 0.9;
      if (i >= 4) params.num_logprobs = 2;
      if (i >= 5) params.n = 3;
      requests.push_back(std::move(request));
    }
    return requests;
  }

  testing::GoldenModel golden_;
  std::unique_ptr<LoadedModel> model_;
  EngineStats stats_;
};

TEST_F(SpeculationTest, EventsAreTheSameInABatch) {
  EXPECT_GT(ExpectSame(ManyKinds(), {.max_sequences = 16, .block_size = 16}), 500u);
}

TEST_F(SpeculationTest, EventsAreTheSameAlone) {
  for (const GenerateRequest& request : ManyKinds()) {
    EXPECT_GT(ExpectSame({request}, {.max_sequences = 4, .block_size = 16}), 0u);
  }
}

// The draft model is computed by the same ranks.
TEST_F(SpeculationTest, EventsAreTheSameAtTwoRanks) {
  model_ = LoadGolden(golden_, 2, 2);
  ASSERT_EQ(model_->num_ranks(), 2);
  EXPECT_GT(ExpectSame(ManyKinds(), {.max_sequences = 16, .block_size = 16}), 500u);
}

// The cache has room for one sequence of `max_context_tokens`, but not for several. Steps have few
// tokens.
EngineOptions Cramped(const model::StackConfig& stack, int64_t num_blocks) {
  const int64_t block = model::KvCache::BlockBytes(stack, {.num_blocks = 1, .block_size = 16});
  return {.max_batch_tokens = 12,
          .max_prefill_chunk_tokens = 7,
          .max_sequences = 8,
          .max_context_tokens = 112,
          .kv_cache_bytes = num_blocks * block,
          .block_size = 16};
}

TEST_F(SpeculationTest, EventsAreTheSameWhenBlocksAndBudgetAreShort) {
  std::vector<GenerateRequest> requests;
  for (const GenerateRequest& request : ManyKinds()) {
    if (request.prompt.size() <= 72) requests.push_back(request);
  }
  // The cache has room for one sequence and for the cache of a draft model, whose blocks are twice
  // as large.
  EXPECT_GT(ExpectSame(requests, Cramped(model_->description.config.stack, 24)), 300u);
  EXPECT_GT(stats_.preemptions, 0u);
}

// A wrong byte in the draft model's cache would change its guesses.
TEST_F(SpeculationTest, TheDraftModelsCacheFollowsForksAndPreemptions) {
  std::vector<GenerateRequest> requests;
  for (size_t i = 0; i < 6; ++i) {
    GenerateRequest request = MakeRequest(golden_.prompts[i % 3].ids, 40);
    request.params.n = 1 + static_cast<int64_t>(i % 3);
    request.params.do_sample = i % 2 == 0;
    request.params.seed = i;
    requests.push_back(request);
  }
  Run(requests, Cramped(model_->description.config.stack, 28), FromModel(*model_));
  EXPECT_EQ(stats_.accepted_tokens, stats_.drafted_tokens);
  EXPECT_GT(stats_.accepted_tokens, 100u);
  EXPECT_GT(stats_.preemptions, 0u);
}

TEST_F(SpeculationTest, EndsInTheMiddleOfRightGuesses) {
  std::vector<GenerateRequest> requests;
  for (size_t i = 0; i < 6; ++i) {
    const testing::GoldenPrompt& prompt = golden_.prompts[i % golden_.prompts.size()];
    GenerateRequest request = MakeRequest(prompt.ids, 30);
    request.params.stop_token_ids = {prompt.greedy[7 + i]};
    if (i % 3 == 1) request.params.min_new_tokens = 12;
    if (i % 3 == 2) request.params.bad_words = {{prompt.greedy[3], prompt.greedy[4]}};
    requests.push_back(request);
    request = MakeRequest(prompt.ids, 30);
    request.params.max_new_tokens = 1 + static_cast<int64_t>(i);
    requests.push_back(request);
  }
  model_->description.config.eos_token_ids = {golden_.prompts[0].greedy[11]};
  for (size_t i = 0; i < requests.size(); i += 4) requests[i].params.ignore_eos = false;
  ExpectSame(requests, {.max_sequences = 16, .block_size = 16});
  for (const GenerateRequest& request : requests) {
    ExpectSame({request}, {.max_sequences = 1, .block_size = 16});
  }
}

TEST_F(SpeculationTest, EveryFamilyVerifiesRowsAsItDecodes) {
  for (const std::string& variant : testing::GoldenVariants()) {
    SCOPED_TRACE(variant);
    Use(variant);
    GenerateRequest request = MakeRequest(golden_.prompts.back().ids, 40);
    request.params.num_logprobs = 1;
    const EngineOptions options = {.max_sequences = 1, .block_size = 16};
    const Sinks truth = Run({request}, options, nullptr);
    for (const double acceptance : {0.7, 1.0}) {
      const Sinks sinks = Run({request}, options, Oracle(acceptance, {request}, truth));
      EXPECT_EQ(sinks[0]->samples, truth[0]->samples);
      EXPECT_GT(stats_.accepted_tokens, 10u);
    }
    const Sinks sinks = Run({request}, options, FromModel(*model_));
    EXPECT_EQ(sinks[0]->samples, truth[0]->samples);
    EXPECT_EQ(stats_.accepted_tokens, stats_.drafted_tokens) << "the same model guesses right";
    EXPECT_GT(stats_.accepted_tokens, 10u);
  }
}

TEST_F(SpeculationTest, TheSameModelAgreesWithItselfWhenSampling) {
  GenerateRequest request = MakeRequest(golden_.prompts[2].ids, 60);
  request.params.do_sample = true;
  request.params.temperature = 1.2;
  request.params.top_p = 0.95;
  request.params.n = 4;
  request.params.seed = 5;
  Run({request}, {.max_sequences = 4, .block_size = 16}, FromModel(*model_));
  EXPECT_EQ(stats_.accepted_tokens, stats_.drafted_tokens);
  EXPECT_GT(stats_.accepted_tokens, 100u);
  EXPECT_LT(stats_.steps, 60u);
}

TEST_F(SpeculationTest, CancellationsDisturbNobody) {
  const std::vector<GenerateRequest> requests = ManyKinds();
  const EngineOptions options = {.max_sequences = 8,
                                 .block_size = 16,
                                 .speculation = {.costs = SpeculationOptions::Costs::kFixed}};
  const Sinks truth = Run(requests, options, nullptr);
  for (const bool model : {false, true}) {
    auto drafter = model ? FromModel(*model_) : Oracle(0.7, requests, truth);
    auto core = EngineCore::Make(*model_, options, std::move(drafter));
    ASSERT_TRUE(core.ok());
    std::mt19937 random(7);
    std::map<uint64_t, std::shared_ptr<ScribeSink>> sinks;
    for (uint64_t id = 0; id < 400; ++id) {
      sinks[id] = std::make_shared<ScribeSink>();
      (*core)->Add(RequestId(id), requests[id % requests.size()], sinks[id]);
      for (int step = 0; step < 3; ++step) {
        (*core)->Step();
        ASSERT_TRUE((*core)->CheckIntegrity().ok());
      }
      (*core)->End(RequestId(random() % (id + 1)), {StatusCode::kCancelled, "gone"});
    }
    while ((*core)->Step()) {
    }
    int num_whole = 0;
    for (const auto& [id, sink] : sinks) {
      ScribeSink& expected = *truth[id % requests.size()];
      if (sink->shared == expected.shared) ++num_whole;
      for (const auto& [idx, lines] : sink->samples) {
        const Lines& all = expected.samples[idx];
        ASSERT_LE(lines.size(), all.size());
        EXPECT_TRUE(std::equal(lines.begin(), lines.end(), all.begin())) << "request " << id;
      }
    }
    EXPECT_GT(num_whole, 50);
    EXPECT_EQ((*core)->stats().free_blocks, (*core)->stats().total_blocks);
    EXPECT_GT((*core)->stats().accepted_tokens, 500u);
  }
}

TEST_F(SpeculationTest, ModelsOfDifferentVocabulariesAreRefused) {
  const auto other = LoadGolden(testing::ReadGoldenModel("gpt2"));
  const auto drafter =
      MakeDrafter(*model_, other.get(), {.method = SpeculationMethod::kDraftModel});
  ASSERT_FALSE(drafter.ok());
  EXPECT_NE(drafter.status().message().find("vocabulary of 257"), std::string::npos);
  EXPECT_NE(drafter.status().message().find("283"), std::string::npos);
  EXPECT_FALSE(MakeDrafter(*model_, nullptr, {.method = SpeculationMethod::kDraftModel}).ok());
  EXPECT_FALSE(
      MakeDrafter(*model_, nullptr, {.method = SpeculationMethod::kPromptLookup, .lookup_min = 5})
          .ok());
}

TEST_F(SpeculationTest, TheDraftModelsCacheIsCounted) {
  const int64_t block = model::KvCache::BlockBytes(model_->description.config.stack,
                                                   {.num_blocks = 1, .block_size = 16});
  const EngineOptions options = {
      .max_sequences = 4, .max_context_tokens = 64, .kv_cache_bytes = 20 * block, .block_size = 16};
  Run({MakeRequest({1, 2, 3}, 4)}, options, nullptr);
  EXPECT_EQ(stats_.total_blocks, 20);
  Run({MakeRequest({1, 2, 3}, 4)}, options, FromModel(*model_));
  EXPECT_EQ(stats_.total_blocks, 10);
}

}  // namespace
}  // namespace dray::engine
