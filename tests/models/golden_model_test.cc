// Whole models against transformers, for every committed variant: logits, and 64 greedy tokens,
// alone, in a mixed ragged batch, with prompts in chunks, and with preemptions; the same with each
// layer divided over two, three and four ranks, and with the layers divided over two and three stages.
#include "testing/golden_model.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <memory>
#include <string>
#include <vector>

#include "engine/engine_core.h"
#include "engine/testing/sequence_scorer.h"
#include "model/describe/model_files.h"

namespace dray::engine {
namespace {

using testing::GoldenModel;
using testing::GoldenPrompt;

// The largest difference allowed, relative to the largest |logit|. transformers' own float32 and
// float64 runs of these models differ by up to 3e-5.
constexpr double kRelativeTolerance = 1e-4;
// The limit for keys and values in 8 bits: the root mean square of the differences over that of the
// logits. Each key and value has an error of at most 1/254 of its head's largest. The scores of
// these random models are so far apart that an error of 0.01 in a score changes a softmax weight by
// several hundredths. So the limit is sixteen times 1/254. A wrong scale or slot in the cache gives
// errors near one.
constexpr double kInt8CacheTolerance = 16.0 / 254;

struct Case {
  std::string variant;
  int64_t num_ranks = 1;  // in each stage
  int64_t num_stages = 1;
};

std::unique_ptr<LoadedModel> Load(const GoldenModel& golden, int64_t num_ranks = 1,
                                  int64_t num_stages = 1) {
  const auto num_threads = static_cast<int>(std::max<int64_t>(2, num_ranks * num_stages));
  auto model =
      LoadModel({.model_dir = golden.dir,
                 .format = kernels::WeightFormat::kF32,
                 .tensor_parallel_degree = num_ranks,
                 .pipeline_parallel_degree = num_stages,
                 .backend_options = {.cpu = {.num_threads = num_threads, .oversubscribe = true}}});
  EXPECT_TRUE(model.ok()) << model.status().ToString();
  return model.ok() ? std::move(*model) : nullptr;
}

// Collects a request's tokens.
class Collector : public EventSink {
 public:
  void OnEvent(Event event) override {
    if (const auto* token = std::get_if<TokenEvent>(&event)) tokens.push_back(token->token.id);
    if (const auto* end = std::get_if<RequestEndEvent>(&event)) {
      EXPECT_TRUE(end->status.ok()) << end->status.ToString();
      ++ends;
    }
  }
  std::vector<int32_t> tokens;
  int ends = 0;
};

GenerateRequest GreedyRequest(const GoldenPrompt& prompt) {
  GenerateRequest request;
  request.prompt = prompt.ids;
  request.params.max_new_tokens = static_cast<int64_t>(prompt.greedy.size());
  request.params.ignore_eos = true;
  return request;
}

class GoldenModelTest : public ::testing::TestWithParam<Case> {
 protected:
  void SetUp() override {
    golden_ = testing::ReadGoldenModel(GetParam().variant);
    model_ = Load(golden_, GetParam().num_ranks, GetParam().num_stages);
    ASSERT_NE(model_, nullptr);
  }

  // Runs the prompts together and expects the golden tokens of each. Returns the engine's counters.
  EngineStats ExpectGreedy(const std::vector<GoldenPrompt>& prompts, const EngineOptions& options) {
    auto core = EngineCore::Make(*model_, options);
    EXPECT_TRUE(core.ok()) << core.status().ToString();
    if (!core.ok()) return {};
    std::vector<std::shared_ptr<Collector>> collectors;
    for (size_t i = 0; i < prompts.size(); ++i) {
      auto request = GreedyRequest(prompts[i]);
      EXPECT_TRUE((*core)->Validate(request).ok()) << (*core)->Validate(request).ToString();
      collectors.push_back(std::make_shared<Collector>());
      (*core)->Add(RequestId(i + 1), std::move(request), collectors.back());
    }
    while ((*core)->Step()) {
    }
    EXPECT_TRUE((*core)->CheckIntegrity().ok());
    for (size_t i = 0; i < prompts.size(); ++i) {
      EXPECT_EQ(collectors[i]->tokens, prompts[i].greedy)
          << "prompt of " << prompts[i].ids.size() << " tokens";
      EXPECT_EQ(collectors[i]->ends, 1);
    }
    return (*core)->stats();
  }

  // The difference between logits and transformers' over all positions with golden logits of all
  // prompts.
  struct Distance {
    double largest = 0;  // the largest difference over the largest |logit|, at the worst position
    double rms = 0;      // root mean square of the differences over that of the logits
  };
  Distance LogitDistance(DType kv_dtype);

  int64_t BlockBytes() const { return model_->BlockBytes({.num_blocks = 1, .block_size = 16}); }

  GoldenModel golden_;
  std::unique_ptr<LoadedModel> model_;
};

GoldenModelTest::Distance GoldenModelTest::LogitDistance(DType kv_dtype) {
  Distance distance;
  double square_sum = 0, difference_sum = 0;
  const auto vocab = static_cast<size_t>(model_->description.config.vocab_size);
  auto scorer = SequenceScorer::Make(*model_, {.kv_dtype = kv_dtype});
  EXPECT_TRUE(scorer.ok()) << scorer.status().ToString();
  if (!scorer.ok()) return {1, 1};
  for (const GoldenPrompt& prompt : golden_.prompts) {
    const std::vector<float> logits = scorer->Logits(prompt.ids, prompt.logit_positions).value();
    for (size_t row = 0; row < prompt.logits.size(); ++row) {
      double worst = 0;
      double largest = 0;
      for (size_t i = 0; i < prompt.logits[row].size(); ++i) {
        const double expected = prompt.logits[row][i];
        const double difference = logits[row * vocab + i] - expected;
        worst = std::max(worst, std::abs(difference));
        largest = std::max(largest, std::abs(expected));
        difference_sum += difference * difference;
        square_sum += expected * expected;
      }
      distance.largest = std::max(distance.largest, worst / largest);
    }
  }
  distance.rms = std::sqrt(difference_sum / square_sum);
  return distance;
}

TEST_P(GoldenModelTest, LogitsAgree) {
  EXPECT_LE(LogitDistance(DType::kF32).largest, kRelativeTolerance);
}

TEST_P(GoldenModelTest, LogitsAgreeWithKeysAndValuesIn8Bits) {
  EXPECT_LE(LogitDistance(DType::kI8).rms, kInt8CacheTolerance);
}

TEST_P(GoldenModelTest, GreedyAlone) {
  for (const GoldenPrompt& prompt : golden_.prompts) {
    ExpectGreedy({prompt}, {.max_sequences = 4, .block_size = 16});
  }
}

TEST_P(GoldenModelTest, GreedyInOneRaggedBatch) {
  ExpectGreedy(golden_.prompts, {.max_sequences = 16, .block_size = 16});
}

TEST_P(GoldenModelTest, GreedyWithChunkedPrompts) {
  const EngineStats stats = ExpectGreedy(golden_.prompts, {.max_batch_tokens = 32,
                                                           .max_prefill_chunk_tokens = 13,
                                                           .max_sequences = 16,
                                                           .block_size = 16});
  EXPECT_EQ(stats.preemptions, 0u);
}

TEST_P(GoldenModelTest, GreedyThroughPreemptions) {
  // The cache has room for the longest sequence, of 314 tokens or 20 blocks, and little more. All
  // eight together need 54.
  const EngineStats stats = ExpectGreedy(golden_.prompts, {.max_batch_tokens = 64,
                                                           .max_sequences = 16,
                                                           .max_context_tokens = 320,
                                                           .kv_cache_bytes = 22 * BlockBytes(),
                                                           .block_size = 16});
  EXPECT_GT(stats.preemptions, 0u);
  EXPECT_EQ(stats.free_blocks, stats.total_blocks);
}

TEST_P(GoldenModelTest, BothSpellingsOfTheConfigurationAgree) {
  // The folder has the configuration in the older spelling too. It must load to the same model.
  const auto dir = std::filesystem::path(::testing::TempDir()) / ("v4-" + GetParam().variant);
  std::filesystem::remove_all(dir);
  std::filesystem::create_directories(dir);
  for (const auto& entry : std::filesystem::directory_iterator(golden_.dir)) {
    const auto name = entry.path().filename();
    if (name == "config.json" || name == "config.v4.json") continue;
    std::filesystem::create_symlink(entry.path(), dir / name);
  }
  ASSERT_TRUE(std::filesystem::exists(golden_.dir / "config.v4.json"));
  std::filesystem::create_symlink(golden_.dir / "config.v4.json", dir / "config.json");
  GoldenModel older = golden_;
  older.dir = dir;
  model_ = Load(older);
  ASSERT_NE(model_, nullptr);
  ExpectGreedy({golden_.prompts.back()}, {.max_sequences = 4, .block_size = 16});
}

class GoldenRanksTest : public GoldenModelTest {};

TEST_P(GoldenRanksTest, LogitsAgree) {
  EXPECT_LE(LogitDistance(DType::kF32).largest, kRelativeTolerance);
  EXPECT_LE(LogitDistance(DType::kI8).rms, kInt8CacheTolerance);
}

TEST_P(GoldenRanksTest, GreedyInOneRaggedBatch) {
  ExpectGreedy(golden_.prompts, {.max_sequences = 16, .block_size = 16});
}

std::string TestName(const ::testing::TestParamInfo<Case>& info) {
  std::string name = info.param.variant;
  std::replace(name.begin(), name.end(), '-', '_');
  if (info.param.num_ranks > 1) name += "_ranks" + std::to_string(info.param.num_ranks);
  if (info.param.num_stages > 1) name += "_stages" + std::to_string(info.param.num_stages);
  return name;
}

std::vector<Case> WholeModels() {
  std::vector<Case> cases;
  for (const std::string& variant : testing::GoldenVariants()) cases.push_back({variant});
  return cases;
}

// Every variant over two, three and four ranks, as far as it has query heads, and over up to three
// stages, as far as it has layers. Many of the models have three or five heads, so there are ranks
// with padding, and ranks with nothing else.
std::vector<Case> DividedModels() {
  std::vector<Case> cases;
  for (const std::string& variant : testing::GoldenVariants()) {
    const auto model = model::DescribeModelFiles(testing::ReadGoldenModel(variant).dir);
    const model::StackConfig& stack = model.value().config.stack;
    for (int64_t num_ranks = 2; num_ranks <= std::min<int64_t>(4, stack.num_heads); ++num_ranks) {
      cases.push_back({variant, num_ranks});
    }
    cases.push_back({variant, 1, std::min<int64_t>(3, stack.num_layers)});
    // One model of each family.
    const bool is_plain = variant.find('-') == std::string::npos;
    if (is_plain) cases.push_back({variant, 2, 2});
  }
  return cases;
}

INSTANTIATE_TEST_SUITE_P(Variants, GoldenModelTest, ::testing::ValuesIn(WholeModels()), TestName);
INSTANTIATE_TEST_SUITE_P(Variants, GoldenRanksTest, ::testing::ValuesIn(DividedModels()), TestName);

}  // namespace
}  // namespace dray::engine
