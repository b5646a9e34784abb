// The plan of what ranks send (docs/ranks.md, docs/communicators.md) matches the counters of all ranks
// exactly: over every transport, at every pair of degrees, for every family.
#include <gtest/gtest.h>

#include <algorithm>
#include <cctype>
#include <cstdint>
#include <ostream>
#include <string>
#include <tuple>
#include <vector>

#include "base/checked_math.h"
#include "model/describe/model_files.h"
#include "parallel/rank_order_sum.h"
#include "parallel/shard.h"
#include "testing/rank_processes.h"

namespace dray::engine {
namespace {

struct Case {
  std::string variant;
  uint64_t sums_in_a_layer = 2;
  RankTransport transport = RankTransport::kThreads;
  Shape shape;
};
void PrintTo(const Case& one, std::ostream* out) { *out << one.variant; }

struct Step {
  uint64_t tokens = 0;
  uint64_t rows = 0;    // of logits
  uint64_t pieces = 0;  // in which the rows come: a piece of SmallSpec has three rows
};
// StepOver has blocks for 32 tokens. As many divide a sum among four ranks that share memory.
constexpr Step kSteps[] = {{20, 8, 3}, {1, 1, 1}, {32, 1, 1}};

// The figures of docs/communicators.md: the fewest numbers of a sum that ranks divide into shares.
int64_t LeastDivided(RankTransport transport, int64_t world) {
  if (world < 3) return INT64_MAX;
  if (transport == RankTransport::kMpi) return world == 3 ? 12'289 : 5'461;
  return world == 3 ? 3'073 : 1'365;
}

class Plan {
 public:
  Plan(const Case& one, const model::ModelConfig& config) : case_(one), config_(config) {}

  // What a rank has sent after all steps.
  RankTraffic Of(parallel::Rank rank, parallel::Stage stage) const {
    RankTraffic traffic;
    for (const Step& step : kSteps) {
      if (rank.world > 1) AddGroup(step, rank, stage, traffic.group);
      if (stage.is_last()) continue;
      ++traffic.to_next.messages;
      traffic.to_next.bytes += step.tokens * hidden() * sizeof(float);
    }
    return traffic;
  }

 private:
  uint64_t hidden() const { return static_cast<uint64_t>(config_.stack.hidden); }

  void AddGroup(const Step& step, parallel::Rank rank, parallel::Stage stage,
                parallel::Traffic& group) const {
    const int64_t num_layers = parallel::CutLayers(config_.stack.num_layers, stage).size();
    const uint64_t sums = static_cast<uint64_t>(num_layers) * case_.sums_in_a_layer;
    AddSums(sums, step.tokens * hidden(), rank, group);
    if (stage.is_first()) {
      AddSums(1, step.tokens * static_cast<uint64_t>(config_.embed_dim), rank, group);
    }
    if (!stage.is_last()) return;
    const auto world = static_cast<uint64_t>(rank.world);
    const uint64_t rank_vocab =
        RoundUp((static_cast<uint64_t>(config_.vocab_size) + world - 1) / world, uint64_t{32});
    group.gathers += step.pieces;
    group.gather_numbers += step.rows * rank_vocab;
    if (rank.index == 0) {
      group.received_bytes += step.rows * rank_vocab * (world - 1) * sizeof(float);
    }
  }

  void AddSums(uint64_t sums, uint64_t numbers, parallel::Rank rank,
               parallel::Traffic& group) const {
    const auto count = static_cast<int64_t>(numbers);
    const int64_t share = parallel::ShareOf(count, rank).count();
    const bool is_divided = count >= LeastDivided(case_.transport, rank.world);
    const int64_t received =
        is_divided ? share * (rank.world - 1) + count - share : count * (rank.world - 1);
    group.sums += sums;
    group.sum_numbers += sums * numbers;
    group.received_bytes += sums * static_cast<uint64_t>(received) * sizeof(float);
  }

  const Case& case_;
  const model::ModelConfig& config_;
};

class TrafficTest : public ::testing::TestWithParam<Case> {};

TEST_P(TrafficTest, RanksSendWhatThePlanSays) {
  const auto& [in_stage, num_stages] = GetParam().shape;
  const auto golden = testing::ReadGoldenModel(GetParam().variant);
  const auto model = LoadRanks(OptionsFor(golden, GetParam().shape, GetParam().transport));
  ASSERT_NE(model, nullptr);
  const auto runner = MakeSmallRunner(*model);
  ASSERT_NE(runner, nullptr);
  for (const Step& step : kSteps) {
    const auto tokens = static_cast<int64_t>(step.tokens);
    const auto rows = static_cast<int64_t>(step.rows);
    EXPECT_TRUE(RunToEnd(*runner, StepOver(Numbers(tokens), tokens, rows)).status.ok());
  }
  const auto traffic = runner->ReadTraffic();
  ASSERT_TRUE(traffic.ok()) << traffic.status().ToString();
  ASSERT_EQ(traffic->size(), static_cast<size_t>(in_stage * num_stages));
  const Plan plan(GetParam(), model->description.config);
  for (size_t rank = 0; rank < traffic->size(); ++rank) {
    const auto index = static_cast<int64_t>(rank);
    EXPECT_EQ(CountersOf((*traffic)[rank]),
              CountersOf(plan.Of({index % in_stage, in_stage}, {index / in_stage, num_stages})))
        << "rank " << rank;
  }
}

// OPT-350m has a token table that is narrower than its residual stream.
std::vector<Case> Cases() {
  std::vector<Case> cases;
  for (const auto& [variant, sums, of_processes] :
       {std::tuple("bloom-5-heads", 2, false), std::tuple("gpt2-bin-legacy", 2, false),
        std::tuple("gpt_neox-4-heads", 1, false), std::tuple("gpt_neox-sequential", 2, false),
        std::tuple("gptj-4-heads", 1, true), std::tuple("llama", 2, true),
        std::tuple("mistral-4-heads", 2, false), std::tuple("opt-350m", 2, true),
        std::tuple("qwen2-sliding", 2, false), std::tuple("qwen3-4-heads", 2, false)}) {
    const auto described = model::DescribeModelFiles(testing::ReadGoldenModel(variant).dir);
    const model::StackConfig& stack = described.value().config.stack;
    for (int64_t in_stage = 1; in_stage <= std::min<int64_t>(4, stack.num_heads); ++in_stage) {
      for (int64_t stages = 1; stages <= stack.num_layers; ++stages) {
        if (in_stage * stages == 1) continue;
        Case one = {
            variant, static_cast<uint64_t>(sums), RankTransport::kThreads, {in_stage, stages}};
        cases.push_back(one);
        if (!of_processes || in_stage * stages > 4) continue;
        one.transport = RankTransport::kProcesses;
        cases.push_back(one);
#ifdef DRAY_MPIRUN
        one.transport = RankTransport::kMpi;
        cases.push_back(one);
#endif
      }
    }
  }
  return cases;
}

std::string TestName(const ::testing::TestParamInfo<Case>& info) {
  const Case& one = info.param;
  std::string name = one.variant + "_" + NameOf(one.transport) + "_" +
                     std::to_string(one.shape.first) + "x" + std::to_string(one.shape.second);
  std::replace_if(
      name.begin(), name.end(), [](unsigned char c) { return std::isalnum(c) == 0; }, '_');
  return name;
}

INSTANTIATE_TEST_SUITE_P(Degrees, TrafficTest, ::testing::ValuesIn(Cases()), TestName);

}  // namespace
}  // namespace dray::engine
