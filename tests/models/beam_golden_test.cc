// Beam search and contrastive search on whole models against transformers: the same sequences, and
// scores within 1e-4, for every family of decoders and encoder-decoders; alone, in one ragged batch,
// with little cache, and with the model divided over ranks and stages. The cases are in
// tests/golden/beams/models.json, in group_models.json for groups, and in contrastive_models.json for
// contrastive search.
#include <gtest/gtest.h>

#include <algorithm>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <memory>
#include <string>
#include <vector>

#include "base/parse/json.h"
#include "base/testing/source_dir.h"
#include "engine/engine_core.h"
#include "model/config/local_stack.h"

namespace dray::engine {
namespace {

constexpr float kScoreTolerance = 1e-4F;

int32_t Id(const Json& json) { return static_cast<int32_t>(*json.AsInt64()); }

std::vector<int32_t> Ids(const Json& json) {
  std::vector<int32_t> ids;
  for (const Json& id : *json.AsArray()) ids.push_back(Id(id));
  return ids;
}

struct Case {
  GenerateRequest request;
  std::vector<std::vector<int32_t>> sequences;
  std::vector<float> scores;  // empty with one beam
};

Case ReadCase(const Json& json) {
  Case read;
  read.request.prompt = Ids(*json.Find("prompt"));
  sampling::SamplingParams& params = read.request.params;
  params.ignore_eos = true;
  params.stop_token_ids = Ids(*json.Find("ends"));
  for (const auto& [name, value] : *json.AsObject()) {
    if (name == "num_beams") params.num_beams = *value.AsInt64();
    if (name == "num_return_sequences") params.n = *value.AsInt64();
    if (name == "max_new_tokens") params.max_new_tokens = *value.AsInt64();
    if (name == "min_new_tokens") params.min_new_tokens = *value.AsInt64();
    if (name == "no_repeat_ngram_size") params.no_repeat_ngram_size = *value.AsInt64();
    if (name == "suppress_tokens") params.suppress_tokens = Ids(value);
    if (name == "begin_suppress_tokens") params.begin_suppress_tokens = Ids(value);
    if (name == "forced_bos_token_id") params.forced_bos_token_id = Id(value);
    if (name == "forced_eos_token_id") params.forced_eos_token_id = Id(value);
    if (name == "penalty_alpha") params.penalty_alpha = *value.AsDouble();
    if (name == "top_k") params.top_k = *value.AsInt64();
    if (name == "num_beam_groups") params.num_beam_groups = *value.AsInt64();
    if (name == "diversity_penalty") params.diversity_penalty = *value.AsDouble();
    if (name == "length_penalty") params.length_penalty = *value.AsDouble();
    if (name == "repetition_penalty") params.repetition_penalty = *value.AsDouble();
    if (name != "early_stopping") continue;
    params.early_stopping = !value.AsBool() ? sampling::EarlyStopping::kNever
                                            : (*value.AsBool() ? sampling::EarlyStopping::kYes
                                                               : sampling::EarlyStopping::kNo);
  }
  for (const Json& sequence : *json.Find("sequences")->AsArray()) {
    read.sequences.push_back(Ids(sequence));
  }
  for (const Json& score : *json.Find("scores")->AsArray()) {
    read.scores.push_back(static_cast<float>(*score.AsDouble()));
  }
  return read;
}

Json ReadGoldens(const std::string& name) {
  std::ifstream file(SourceDir() / "tests/golden/beams" / name);
  const std::string text(std::istreambuf_iterator<char>(file), {});
  auto json = Json::Parse(text);
  EXPECT_TRUE(json.ok());
  return json.ok() ? std::move(*json) : Json();
}

std::vector<std::string> Variants() {
  std::vector<std::string> names;
  const Json goldens = ReadGoldens("models.json");
  for (const auto& [name, cases] : *goldens.AsObject()) names.push_back(name);
  return names;
}

std::filesystem::path FolderOf(const std::string& variant) {
  const std::filesystem::path goldens = SourceDir() / "tests/golden";
  const auto decoder = goldens / "models" / variant;
  return std::filesystem::exists(decoder) ? decoder : goldens / "encoder_decoders" / variant;
}

// How many sequences of the request are computed together.
int64_t NumMembers(const sampling::SamplingParams& params) {
  return sampling::UsesContrastiveSearch(params) ? params.top_k : params.num_beams;
}

class Collector : public EventSink {
 public:
  void OnEvent(Event event) override {
    if (const auto* token = std::get_if<TokenEvent>(&event)) {
      const auto index = static_cast<size_t>(token->sequence_idx);
      if (sequences.size() <= index) sequences.resize(index + 1);
      sequences[index].push_back(token->token.id);
    }
    if (const auto* end = std::get_if<SequenceEndEvent>(&event)) {
      if (end->beam_score) scores.push_back(*end->beam_score);
    }
    if (const auto* end = std::get_if<RequestEndEvent>(&event)) {
      EXPECT_TRUE(end->status.ok()) << end->status.ToString();
      ++ends;
    }
  }
  std::vector<std::vector<int32_t>> sequences;
  std::vector<float> scores;
  int ends = 0;
};

class BeamGoldenTest : public ::testing::TestWithParam<std::string> {
 protected:
  void SetUp() override {
    for (const char* name : {"models.json", "group_models.json", "contrastive_models.json"}) {
      const Json goldens = ReadGoldens(name);
      const Json* const cases = goldens.Find(GetParam());
      if (cases == nullptr) continue;  // transformers 4.49 does not have all families
      for (const Json& one : *cases->AsArray()) cases_.push_back(ReadCase(one));
    }
    Load(1, 1);
  }

  void Load(int64_t num_ranks, int64_t num_stages) {
    const auto num_threads = static_cast<int>(std::max<int64_t>(2, num_ranks * num_stages));
    auto model = LoadModel(
        {.model_dir = FolderOf(GetParam()),
         .format = kernels::WeightFormat::kF32,
         .tensor_parallel_degree = num_ranks,
         .pipeline_parallel_degree = num_stages,
         .backend_options = {.cpu = {.num_threads = num_threads, .oversubscribe = true}}});
    ASSERT_TRUE(model.ok()) << model.status().ToString();
    model_ = std::move(*model);
  }

  // Runs the cases together. Returns the engine's counters.
  EngineStats Expect(const std::vector<Case>& cases, const EngineOptions& options) {
    auto core = EngineCore::Make(*model_, options);
    EXPECT_TRUE(core.ok()) << core.status().ToString();
    if (!core.ok()) return {};
    std::vector<std::shared_ptr<Collector>> collectors;
    for (size_t i = 0; i < cases.size(); ++i) {
      EXPECT_TRUE((*core)->Validate(cases[i].request).ok());
      collectors.push_back(std::make_shared<Collector>());
      (*core)->Add(RequestId(i + 1), cases[i].request, collectors.back());
    }
    while ((*core)->Step()) {
      EXPECT_TRUE((*core)->CheckIntegrity().ok());
    }
    for (size_t i = 0; i < cases.size(); ++i) ExpectResult(cases[i], *collectors[i]);
    const EngineStats stats = (*core)->stats();
    EXPECT_EQ(stats.free_blocks, stats.total_blocks);
    return stats;
  }

  static void ExpectResult(const Case& expected, const Collector& got) {
    SCOPED_TRACE(expected.request.params.num_beams);
    EXPECT_EQ(got.ends, 1);
    EXPECT_EQ(got.sequences, expected.sequences);
    ASSERT_EQ(got.scores.size(), expected.scores.size());
    for (size_t i = 0; i < got.scores.size(); ++i) {
      EXPECT_NEAR(got.scores[i], expected.scores[i], kScoreTolerance);
    }
  }

  int64_t BlockBytes(int64_t block_size) const {
    return model_->BlockBytes({.num_blocks = 1, .block_size = static_cast<int32_t>(block_size)});
  }

  std::vector<Case> cases_;
  std::unique_ptr<LoadedModel> model_;
};

TEST_P(BeamGoldenTest, Alone) {
  for (const Case& one : cases_) Expect({one}, {.max_sequences = 8, .block_size = 16});
}

TEST_P(BeamGoldenTest, InOneRaggedBatch) {
  const EngineStats stats = Expect(cases_, {.max_sequences = 64, .block_size = 16});
  EXPECT_EQ(stats.preemptions, 0u);
}

TEST_P(BeamGoldenTest, WithFewPlacesInAStepAndChunkedPrompts) {
  Expect(cases_, {.max_batch_tokens = 24,
                  .max_prefill_chunk_tokens = 13,
                  .max_sequences = 6,
                  .block_size = 16});
}

TEST_P(BeamGoldenTest, ThroughPreemptions) {
  // The cache has room for the largest request, whose beams share nothing after a preemption, and
  // no more. Requests with short prompts begin together and grow until they need more.
  constexpr size_t kShortPrompt = 40;
  std::vector<Case> cases;
  int64_t most = 0;
  for (const Case& one : cases_) {
    if (one.request.prompt.size() > kShortPrompt) continue;
    cases.push_back(one);
    const int64_t tokens =
        static_cast<int64_t>(one.request.prompt.size()) + one.request.params.max_new_tokens;
    // Contrastive search computes one more token, and an encoder-decoder begins with one that is given.
    most = std::max(most, (tokens + 17) / 16 * NumMembers(one.request.params));
  }
  const EngineStats stats = Expect(cases, {.max_batch_tokens = 64,
                                           .max_sequences = 32,
                                           .max_context_tokens = std::min<int64_t>(320, most * 16),
                                           .kv_cache_bytes = most * BlockBytes(16),
                                           .block_size = 16});
  EXPECT_GT(stats.preemptions, 0u);
}

TEST_P(BeamGoldenTest, OnTwoRanksAndTwoStages) {
  // Some of the small models have one head, or one layer.
  const model::ModelConfig config = model_->description.config;
  if (config.stack.num_heads > 1) {
    Load(2, 1);
    Expect(cases_, {.max_sequences = 64, .block_size = 16});
  }
  if (model::MaxStages(config) > 1) {
    Load(1, 2);
    Expect(cases_, {.max_sequences = 64, .block_size = 16});
  }
}

std::string TestName(const ::testing::TestParamInfo<std::string>& info) {
  std::string name = info.param;
  std::replace(name.begin(), name.end(), '-', '_');
  return name;
}

INSTANTIATE_TEST_SUITE_P(Variants, BeamGoldenTest, ::testing::ValuesIn(Variants()), TestName);

}  // namespace
}  // namespace dray::engine
