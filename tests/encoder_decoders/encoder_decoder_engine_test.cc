// Encoder-decoders in the engine: many requests together, through preemptions, with samples and
// guesses, against transformers' greedy tokens; and what is refused.
#include <gtest/gtest.h>

#include <memory>
#include <set>
#include <string>
#include <vector>

#include "encoder_decoders/encoder_decoder_run.h"
#include "engine/calibrate.h"
#include "engine/engine_core.h"
#include "engine/speculation/drafter.h"
#include "testing/engine_support.h"

namespace dray::engine {
namespace {

using testing::GoldenSource;
using Sinks = std::vector<std::shared_ptr<RecordingSink>>;

class EncoderDecoderEngineTest : public ::testing::Test {
 protected:
  void SetUp() override { Use("t5"); }
  void Use(const std::string& variant) {
    golden_ = testing::ReadGoldenEncoderDecoder(variant);
    model_ = LoadGolden(golden_);
    ASSERT_NE(model_, nullptr);
  }

  std::unique_ptr<EngineCore> MakeCore(const EngineOptions& options) {
    auto drafter = MakeDrafter(*model_, nullptr, options.speculation);
    EXPECT_TRUE(drafter.ok()) << drafter.status().ToString();
    auto core = EngineCore::Make(*model_, options, std::move(*drafter));
    EXPECT_TRUE(core.ok()) << core.status().ToString();
    return std::move(*core);
  }

  // Adds a request in every step, and runs all of them to the end.
  Sinks Run(EngineCore& core, const std::vector<GenerateRequest>& requests) {
    Sinks sinks;
    for (const GenerateRequest& request : requests) {
      const Status valid = core.Validate(request);
      EXPECT_TRUE(valid.ok()) << valid.ToString();
      sinks.push_back(std::make_shared<RecordingSink>());
      core.Add(RequestId(next_id_++), request, sinks.back());
      core.Step();
      EXPECT_TRUE(core.CheckIntegrity().ok());
    }
    while (core.Step()) {
    }
    EXPECT_TRUE(core.CheckIntegrity().ok());
    return sinks;
  }

  std::vector<GenerateRequest> GreedyRequests() const {
    std::vector<GenerateRequest> requests;
    for (const GoldenSource& source : golden_.sources) {
      requests.push_back(MakeRequest(source.ids, static_cast<int64_t>(source.greedy.size())));
    }
    return requests;
  }
  void ExpectGreedy(const Sinks& sinks, const std::string& what) const {
    ASSERT_EQ(sinks.size(), golden_.sources.size());
    for (size_t i = 0; i < sinks.size(); ++i) {
      EXPECT_TRUE(sinks[i]->status().ok()) << sinks[i]->status().ToString();
      EXPECT_EQ(sinks[i]->Ids(), golden_.sources[i].greedy)
          << what << ": source of " << golden_.sources[i].ids.size();
    }
  }
  int64_t BlockBytes() const { return model_->BlockBytes({.num_blocks = 1, .block_size = 16}); }

  testing::GoldenEncoderDecoder golden_;
  std::unique_ptr<LoadedModel> model_;
  uint64_t next_id_ = 1;
};

TEST_F(EncoderDecoderEngineTest, GreedyTokensAreThoseOfTransformersInRaggedBatches) {
  for (const std::string& variant : testing::GoldenEncoderDecoderVariants()) {
    Use(variant);
    const auto core = MakeCore({.max_sequences = 8, .block_size = 16});
    ExpectGreedy(Run(*core, GreedyRequests()), variant);
    const EngineStats stats = core->stats();
    EXPECT_EQ(stats.free_blocks, stats.total_blocks) << "sources stay in the cache";
  }
}

// All requests fit while they have a few tokens only, so later ones lose their blocks, with the keys and
// values of their sources, and read them anew.
TEST_F(EncoderDecoderEngineTest, PreemptedRequestsGetTheSameTokens) {
  for (const char* variant : {"t5", "t5-v1_1", "t5-buckets"}) {
    Use(variant);
    const auto core = MakeCore({.max_batch_tokens = 16,
                                .max_prefill_chunk_tokens = 7,
                                .max_sequences = 8,
                                .max_context_tokens = 192,
                                .kv_cache_bytes = 14 * BlockBytes(),
                                .block_size = 16});
    ExpectGreedy(Run(*core, GreedyRequests()), variant);
    EXPECT_GT(core->stats().preemptions, 0u) << variant;
  }
}

TEST_F(EncoderDecoderEngineTest, ALostCacheIsComputedAnew) {
  const auto core = MakeCore({.max_sequences = 8, .block_size = 16});
  Sinks sinks;
  for (const GenerateRequest& request : GreedyRequests()) {
    sinks.push_back(std::make_shared<RecordingSink>());
    core->Add(RequestId(next_id_++), request, sinks.back());
  }
  for (int i = 0; i < 5; ++i) core->Step();
  core->End(RequestId(1), {StatusCode::kCancelled, "gone"});
  while (core->Step()) {
  }
  EXPECT_EQ(sinks[0]->status().code(), StatusCode::kCancelled);
  EXPECT_EQ(sinks[5]->Ids(), golden_.sources[5].greedy);
  EXPECT_EQ(core->stats().free_blocks, core->stats().total_blocks);
}

TEST_F(EncoderDecoderEngineTest, SamplesShareTheirSource) {
  GenerateRequest request = MakeRequest(golden_.sources[5].ids, 24);
  request.params.do_sample = true;
  request.params.temperature = 2.0;
  request.params.n = 4;
  request.params.seed = 7;
  const auto together = MakeCore({.max_sequences = 8, .block_size = 16});
  const auto first = Run(*together, {request});
  const auto again = Run(*MakeCore({.max_sequences = 1, .block_size = 32}), {request});
  std::set<std::vector<int32_t>> distinct;
  for (int i = 0; i < 4; ++i) {
    EXPECT_EQ(first[0]->Ids(i), again[0]->Ids(i));
    distinct.insert(first[0]->Ids(i));
  }
  EXPECT_EQ(distinct.size(), 4u);
}

TEST_F(EncoderDecoderEngineTest, GuessesFromTheSourceChangeNothing) {
  EngineOptions options = {.max_sequences = 8, .block_size = 16};
  options.speculation = {.method = SpeculationMethod::kPromptLookup,
                         .max_drafts = 4,
                         .costs = SpeculationOptions::Costs::kFixed};
  const auto core = MakeCore(options);
  ExpectGreedy(Run(*core, GreedyRequests()), "with guesses");
  EXPECT_GT(core->stats().drafted_tokens, 0u);
}

TEST_F(EncoderDecoderEngineTest, EndTokensAndPenaltiesCountTheAnswerAlone) {
  const GoldenSource& source = golden_.sources[4];
  model_->description.config.eos_token_ids = {source.greedy[3]};
  GenerateRequest request = MakeRequest(source.ids, 40);
  request.params.ignore_eos = false;
  const auto core = MakeCore({.max_sequences = 8, .block_size = 16});
  const auto sinks = Run(*core, {request});
  EXPECT_LE(sinks[0]->Ids().size(), 4u);
  EXPECT_EQ(sinks[0]->Reasons().at(0), sampling::FinishReason::kEosToken);
  // A penalty of what was said cannot change the first token, though the source has all tokens.
  request.params.repetition_penalty = 100.0;
  request.prompt.clear();
  for (int32_t id = 2; id < 97; ++id) request.prompt.push_back(id);
  request.params.max_new_tokens = 1;
  const auto penalised = Run(*core, {request});
  request.params.repetition_penalty = 1.0;
  EXPECT_EQ(penalised[0]->Ids(), Run(*core, {request})[0]->Ids());
}

TEST_F(EncoderDecoderEngineTest, LimitsAndRefusals) {
  const auto core = MakeCore({.max_sequences = 2, .max_context_tokens = 64, .block_size = 16});
  EXPECT_TRUE(core->limits().encodes_prompt);
  EXPECT_EQ(core->limits().max_context_tokens, 63);
  EXPECT_TRUE(core->Validate(MakeRequest(std::vector<int32_t>(60, 5), 3)).ok());
  EXPECT_FALSE(core->Validate(MakeRequest(std::vector<int32_t>(60, 5), 4)).ok());
  EXPECT_FALSE(core->Validate(MakeRequest(std::vector<int32_t>(63, 5), 1)).ok());
  GenerateRequest scored = MakeRequest({5, 6}, 3);
  scored.params.prompt_logprobs = 0;
  const Status status = core->Validate(scored);
  EXPECT_NE(status.message().find("the prompt's tokens have no log-probabilities"),
            std::string::npos)
      << status.message();
}

TEST_F(EncoderDecoderEngineTest, WhatIsNotThereIsRefusedByName) {
  const auto refused = [&](LoadModelOptions options, std::string_view part) {
    options.model_dir = golden_.dir;
    const Status status = LoadModel(options).status();
    EXPECT_EQ(status.code(), StatusCode::kUnsupported) << part;
    EXPECT_NE(status.message().find(part), std::string::npos) << status.message();
  };
  refused({.smoothing = SmoothingOptions()}, "smoothquant is not there for t5 models");
  const Status calibrated = Calibrator::Load({.model_dir = golden_.dir}).status();
  EXPECT_NE(calibrated.message().find("encoder-decoders"), std::string::npos);
  const Status drafted =
      MakeDrafter(*model_, model_.get(), {.method = SpeculationMethod::kDraftModel}).status();
  EXPECT_NE(drafted.message().find("speculative_draft_model"), std::string::npos);
}

}  // namespace
}  // namespace dray::engine
