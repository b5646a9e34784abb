// Every family and every kind of integer weights, over all pairs of degrees and over every transport.
// Floats: the logits are the golden ones within the goldens' tolerance, and the greedy tokens are the
// golden tokens. Integers: the logits are within a stated bound of those of one rank. In both cases
// processes of this machine and the processes of an MPI job compute the bits that threads compute.
#include <gtest/gtest.h>

#include <algorithm>
#include <cctype>
#include <cmath>
#include <cstdint>
#include <filesystem>
#include <optional>
#include <ostream>
#include <string>
#include <vector>

#include "base/testing/source_dir.h"
#include "engine/testing/sequence_scorer.h"
#include "testing/golden_run.h"
#include "testing/rank_processes.h"

namespace dray::engine {
namespace {

using kernels::WeightForm;
using kernels::WeightFormat;
using testing::GoldenModel;
using testing::GoldenPrompt;

// As in golden_model_test.cc.
constexpr double kRelativeTolerance = 1e-4;
// Of the 64 golden tokens behind a prompt. Each is a step of its own.
constexpr int64_t kGreedyTokens = 24;
// Prompts with greedy tokens, as far as a golden model has so many: those of 2, 17 and 250 tokens.
constexpr size_t kGreedyPrompts[] = {1, 4, 7};

// Larger groups over processes and MPI take their time on few processors; they are in the slow test.
constexpr int64_t kMostRanksOfQuickTest = 4;

struct Outcome {
  std::vector<std::vector<float>> logits;    // [prompt]: at the golden positions
  std::vector<std::vector<int32_t>> greedy;  // [i]: behind prompt kGreedyPrompts[i]
};

Outcome Compute(const LoadModelOptions& options, const GoldenModel& golden) {
  Outcome outcome;
  const auto model = LoadRanks(options);
  if (model == nullptr) return outcome;
  auto scorer = SequenceScorer::Make(*model, {});
  EXPECT_TRUE(scorer.ok()) << scorer.status().ToString();
  if (!scorer.ok()) return outcome;
  for (const GoldenPrompt& prompt : golden.prompts) {
    const auto logits = scorer->Logits(prompt.ids, prompt.logit_positions);
    EXPECT_TRUE(logits.ok()) << logits.status().ToString();
    outcome.logits.push_back(logits.ok() ? *logits : std::vector<float>());
  }
  for (const size_t i : kGreedyPrompts) {
    if (i >= golden.prompts.size()) break;
    const auto tokens = scorer->Greedy(golden.prompts[i].ids, kGreedyTokens);
    EXPECT_TRUE(tokens.ok()) << tokens.status().ToString();
    outcome.greedy.push_back(tokens.ok() ? *tokens : std::vector<int32_t>());
  }
  return outcome;
}

void ExpectGolden(const Outcome& outcome, const GoldenModel& golden) {
  ASSERT_EQ(outcome.logits.size(), golden.prompts.size());
  for (size_t i = 0; i < golden.prompts.size(); ++i) {
    EXPECT_LE(testing::LogitError(outcome.logits[i], golden.prompts[i]), kRelativeTolerance) << i;
  }
  for (size_t i = 0; i < outcome.greedy.size(); ++i) {
    const auto& expected = golden.prompts[kGreedyPrompts[i]].greedy;
    EXPECT_EQ(outcome.greedy[i],
              std::vector<int32_t>(expected.begin(), expected.begin() + kGreedyTokens));
  }
}

void ExpectSameBits(LoadModelOptions options, const GoldenModel& golden, const Outcome& expected) {
  for (const RankTransport transport : kOtherTransports) {
    SCOPED_TRACE(NameOf(transport));
    options.ranks.transport = transport;
    const Outcome outcome = Compute(options, golden);
    EXPECT_EQ(outcome.logits, expected.logits);
    EXPECT_EQ(outcome.greedy, expected.greedy);
  }
}

struct Cell {
  std::string model;  // under tests/golden
  Shape shape;
  std::optional<WeightForm> form;  // absent: as the file has it
};

int64_t NumRanks(const Cell& cell) { return cell.shape.first * cell.shape.second; }
void PrintTo(const Cell& cell, std::ostream* out) {
  *out << cell.model << " at " << cell.shape.first << " x " << cell.shape.second;
}

LoadModelOptions OptionsOf(const Cell& cell, const GoldenModel& golden) {
  LoadModelOptions options = OptionsFor(golden, cell.shape, RankTransport::kThreads);
  options.format = cell.form;
  const auto file = golden.dir / "model.gguf";
  if (std::filesystem::exists(file)) options.model_dir = file;
  return options;
}

GoldenModel ReadGolden(const Cell& cell) {
  return testing::ReadGoldenDir(SourceDir() / "tests/golden" / cell.model);
}

// One model of each family, with three layers and at least four query heads. Three ranks and, where
// there are five heads, two and four ranks have heads that are padding.
class FamilyTest : public ::testing::TestWithParam<Cell> {};

TEST_P(FamilyTest, ThreadsComputeTheGoldenValues) {
  const GoldenModel golden = ReadGolden(GetParam());
  ExpectGolden(Compute(OptionsOf(GetParam(), golden), golden), golden);
}

class TransportTest : public ::testing::TestWithParam<Cell> {};

TEST_P(TransportTest, ComputesTheBitsOfThreads) {
  const GoldenModel golden = ReadGolden(GetParam());
  const LoadModelOptions options = OptionsOf(GetParam(), golden);
  ExpectSameBits(options, golden, Compute(options, golden));
}

// The bound is that of rank_formats_test.cc: twice the distance between one rank in integers and one
// rank in floats. Ranks round as much as one rank does, but differently.
class IntegersTest : public ::testing::TestWithParam<Cell> {};

TEST_P(IntegersTest, RanksRoundAsMuchAsOneRank) {
  const GoldenModel golden = ReadGolden(GetParam());
  LoadModelOptions options = OptionsOf(GetParam(), golden);
  const Outcome several = Compute(options, golden);
  options.pipeline_parallel_degree = 1;
  EXPECT_EQ(Compute(options, golden).logits, several.logits) << "stages change no sum";
  options.tensor_parallel_degree = 1;
  const Outcome one = Compute(options, golden);
  options.format = WeightFormat::kF32;
  const Outcome exact = Compute(options, golden);
  const auto joined = [](const Outcome& outcome) {
    std::vector<float> all;
    for (const auto& logits : outcome.logits) all.insert(all.end(), logits.begin(), logits.end());
    return all;
  };
  const double limit = 2 * testing::Distance(joined(one), joined(exact));
  EXPECT_GT(limit, 0);
  EXPECT_LE(testing::Distance(joined(several), joined(one)), limit);
  EXPECT_LE(testing::Distance(joined(several), joined(exact)), limit);
}

std::vector<Cell> CellsOf(const std::vector<Cell>& models, int64_t num_layers) {
  std::vector<Cell> cells;
  for (const Cell& model : models) {
    for (int64_t in_stage = 1; in_stage <= 4; ++in_stage) {
      for (int64_t stages = 1; stages <= num_layers; ++stages) {
        cells.push_back({model.model, {in_stage, stages}, model.form});
      }
    }
  }
  return cells;
}

std::vector<Cell> FamilyCells() {
  std::vector<Cell> models;
  for (const char* variant :
       {"bloom-5-heads", "gpt2-bin-legacy", "gpt_neo-4-heads", "gpt_neox-4-heads", "gptj-4-heads",
        "llama", "mistral-4-heads", "opt-4-heads", "qwen2-sliding", "qwen3-4-heads"}) {
    models.push_back({"models/" + std::string(variant), {}, WeightFormat::kF32});
  }
  return CellsOf(models, 3);
}

// Models of at least two layers, with four or five query heads.
std::vector<Cell> IntegerCells() {
  return CellsOf({{"models/mistral-4-heads", {}, WeightFormat::kI8},
                  {"models/bloom-5-heads", {}, WeightForm{WeightFormat::kI4, 32}},
                  {"quantized/gptq-g32", {}, std::nullopt},
                  {"quantized/gptq-desc-act", {}, std::nullopt},
                  {"quantized/awq-g32", {}, std::nullopt},
                  {"gguf/quantised-llama-q4_k_m", {}, std::nullopt}},
                 2);
}

std::vector<Cell> Only(std::vector<Cell> cells, int64_t least_ranks, int64_t most_ranks) {
  std::erase_if(cells, [&](const Cell& cell) {
    return NumRanks(cell) < least_ranks || NumRanks(cell) > most_ranks;
  });
  return cells;
}

std::vector<Cell> AllCells(int64_t least_ranks, int64_t most_ranks) {
  std::vector<Cell> cells = FamilyCells();
  const auto integers = IntegerCells();
  cells.insert(cells.end(), integers.begin(), integers.end());
  return Only(std::move(cells), least_ranks, most_ranks);
}

std::string TestName(const ::testing::TestParamInfo<Cell>& info) {
  const auto& [model, shape, form] = info.param;
  std::string name = model.substr(model.find('/') + 1);
  if (form && form->format == WeightFormat::kI8) name += "_int8";
  if (form && form->format == WeightFormat::kI4) name += "_int4";
  name += "_" + std::to_string(shape.first) + "x" + std::to_string(shape.second);
  std::replace_if(
      name.begin(), name.end(), [](unsigned char c) { return std::isalnum(c) == 0; }, '_');
  return name;
}

constexpr int64_t kAnyNumber = INT64_MAX;

INSTANTIATE_TEST_SUITE_P(Degrees, FamilyTest, ::testing::ValuesIn(FamilyCells()), TestName);
INSTANTIATE_TEST_SUITE_P(Degrees, IntegersTest,
                         ::testing::ValuesIn(Only(IntegerCells(), 2, kAnyNumber)), TestName);
INSTANTIATE_TEST_SUITE_P(SmallGroups, TransportTest,
                         ::testing::ValuesIn(AllCells(1, kMostRanksOfQuickTest)), TestName);
INSTANTIATE_TEST_SUITE_P(LargeGroups, TransportTest,
                         ::testing::ValuesIn(AllCells(kMostRanksOfQuickTest + 1, kAnyNumber)),
                         TestName);

}  // namespace
}  // namespace dray::engine
