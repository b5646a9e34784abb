// Memory, passes, traffic and times by hand, for shapes whose numbers are round.
#include <gtest/gtest.h>

#include <cmath>
#include <string>

#include "plan/cost/latency.h"
#include "plan/cost/layout.h"
#include "plan/cost/memory.h"
#include "plan/cost/pass.h"
#include "plan/cost/traffic.h"
#include "plan/devices/parse_machines.h"
#include "plan/devices/this_machine.h"
#include "plan/shape/open_shape.h"

namespace dray::plan {
namespace {

using kernels::WeightForm;
using kernels::WeightFormat;
using kernels::ZeroPoint;

std::unique_ptr<ModelShape> Open(const std::string& name) {
  auto shape = OpenShape(name);
  return std::move(*shape);
}

Machines Parse(const std::string& spec) {
  return *ParseMachines(spec, [] { return Status(StatusCode::kInternal, "not asked for"); });
}

const Formats kHalf = {WeightFormat::kF16, WeightFormat::kF16, DType::kF16};
const Formats kInt8 = {WeightFormat::kI8, WeightFormat::kI8, DType::kBF16};

TEST(MatrixBytesTest, ElementsAndScales) {
  const auto bytes = [](const WeightForm& form) {
    return MatrixBytes(kernels::MatrixSpec::Of(100, 256, form), Packing::kPlain);
  };
  EXPECT_EQ(bytes(WeightFormat::kF32), 100 * 256 * 4);
  EXPECT_EQ(bytes(WeightFormat::kBF16), 100 * 256 * 2);
  EXPECT_EQ(bytes(WeightFormat::kI8), 100 * (256 + 4));
  EXPECT_EQ(bytes(WeightForm(WeightFormat::kI8, 128)), 100 * (256 + 2 * 2));
  EXPECT_EQ(bytes(WeightFormat::kI4), 100 * (128 + 4 * 2));
  EXPECT_EQ(bytes(WeightForm(WeightFormat::kI4, 32, ZeroPoint::kPerGroup)), 100 * (128 + 8 * 4));
  // Panels of 32 rows, and what loops may read beyond the end.
  EXPECT_EQ(MatrixBytes({100, 256, WeightFormat::kBF16}, Packing::kPanels),
            128 * 256 * 2 + (16 << 10));
}

// OPT-30B: 7168 wide, 48 layers, 56 heads of 128.
TEST(MemoryTest, WeightsAndCacheOfARank) {
  const auto shape = Open("opt-30b");
  const Workload work = {
      .batch = 4, .prompt_tokens = 256, .new_tokens = 256, .context_tokens = 500};
  const RankMemory whole = MemoryOf(shape->ShareOf({}, {}), kHalf, work, Packing::kPlain);
  EXPECT_EQ(whole.padding, 0);
  EXPECT_EQ(whole.replicated, 0);
  // Half precision, but for vectors, which are f32: below 0.01 % of the whole.
  EXPECT_NEAR(whole.weights, 2.0 * 29'974'540'288, 1e-3 * whole.weights);
  // Blocks of 32 tokens: room for 512.
  EXPECT_EQ(whole.cache, 4.0 * 512 * 48 * 2 * 7168 * 2);
  const RankMemory quarter = MemoryOf(shape->ShareOf({0, 4}, {}), kHalf, work, Packing::kPlain);
  EXPECT_EQ(quarter.cache, whole.cache / 4);
  EXPECT_NEAR(quarter.weights, whole.weights / 4, 0.01 * whole.weights);
  // The table of positions is at every rank.
  EXPECT_GE(quarter.replicated, 2.0 * 2050 * 7168);
  // An int8 cache has an f32 scale for each token and head.
  Formats formats = kHalf;
  formats.cache = DType::kI8;
  EXPECT_EQ(MemoryOf(shape->ShareOf({}, {}), formats, work, Packing::kPlain).cache,
            4.0 * 512 * 48 * 2 * 56 * (128 + 4));
}

TEST(MemoryTest, CrossAttentionKeepsTheInput) {
  const auto shape = Open("flan-t5-xxl");
  const Workload work = {.batch = 2, .prompt_tokens = 100, .new_tokens = 32, .context_tokens = 64};
  const RankMemory memory = MemoryOf(shape->ShareOf({}, {}), kHalf, work, Packing::kPlain);
  // 24 layers; 64 tokens of the answer and 100 of the input, keys and values of 4096.
  EXPECT_EQ(memory.cache, 2.0 * (64 + 100) * 24 * 2 * 4096 * 2);
}

TEST(PassTest, PromptsInStepsOfTheEngine) {
  const auto shape = Open("opt-1.3b");
  const ShapeFacts& facts = shape->facts();
  const auto count = [&](int64_t batch, int64_t prompt) {
    return PromptPasses(facts, {.batch = batch, .prompt_tokens = prompt}).size();
  };
  EXPECT_EQ(count(1, 512), 1u);
  EXPECT_EQ(count(1, 513), 2u);
  EXPECT_EQ(count(4, 128), 1u);
  EXPECT_EQ(count(5, 128), 2u);
  EXPECT_EQ(count(3, 1000), 6u);
  const auto passes = PromptPasses(facts, {.batch = 1, .prompt_tokens = 600});
  EXPECT_EQ(passes[0].shape.rows, 512);
  EXPECT_EQ(passes[0].end, PassEnd::kStream);
  EXPECT_EQ(passes[1].shape.rows, 88);
  EXPECT_EQ(passes[1].shape.context, 600);
  EXPECT_EQ(passes[1].end, PassEnd::kLogits);
}

TEST(PassTest, AnEncoderReadsTheInputOnce) {
  const auto shape = Open("flan-t5-xxl");
  const Workload work = {.batch = 1, .prompt_tokens = 64, .new_tokens = 32, .context_tokens = 32};
  const auto passes = PromptPasses(shape->facts(), work);
  ASSERT_EQ(passes.size(), 2u);
  const RankShare share = shape->ShareOf({}, {});
  const Formats f32 = {WeightFormat::kF32, WeightFormat::kF32, DType::kF32};
  const auto encode = CostOf(share, passes[0], f32, Packing::kPlain);
  const auto decode = CostOf(share, passes[1], f32, Packing::kPlain);
  // The encoder's layers, and keys and values of the decoder's cross-attention.
  const double per_input = 24.0 * (4.0 * 4096 * 4096 + 3.0 * 4096 * 10240 + 2.0 * 4096 * 4096);
  EXPECT_DOUBLE_EQ(encode.f32, 64 * per_input);
  const double per_token = 24.0 * (6.0 * 4096 * 4096 + 3.0 * 4096 * 10240) + 32128.0 * 4096;
  EXPECT_DOUBLE_EQ(decode.f32, per_token);
  EXPECT_GT(decode.bytes, 4 * per_token);
  EXPECT_LT(decode.bytes, 4.1 * per_token);
}

// The example of docs/ranks.md.
TEST(TrafficTest, AsThePlanOfRanksSays) {
  const auto shape = Open("llama-7b");
  const Traffic traffic = TrafficOf(shape->facts(), {.tensor = 2});
  EXPECT_EQ(traffic.layer, 2 * 16384);
  EXPECT_EQ(traffic.token, 65 * 16384);
  EXPECT_EQ(traffic.logits, 62.5 * 1024);
  EXPECT_EQ(traffic.stage, 0);
  const Traffic stages = TrafficOf(shape->facts(), {.tensor = 1, .pipeline = 2});
  EXPECT_EQ(stages.token, 0);
  EXPECT_EQ(stages.stage, 16384);
  // Parallel branches are added in one sum.
  EXPECT_EQ(TrafficOf(Open("gpt-j-6b")->facts(), {.tensor = 2}).layer, 4 * 4096);
}

TEST(LayoutTest, StagesGoToTheHostsInTheirOrder) {
  const Machines alike = Parse("2*p4d.24xlarge");
  EXPECT_EQ(PlaceStages({8, 2}, alike).stage_hosts, (std::vector<size_t>{0, 1}));
  EXPECT_EQ(PlaceStages({4, 2}, alike).stage_hosts, (std::vector<size_t>{0, 1}));
  EXPECT_EQ(PlaceStages({4, 3}, alike).stage_hosts, (std::vector<size_t>{0, 0, 1}));
  const Machines mixed = Parse("2xa10g+4xa10g");
  EXPECT_EQ(PlaceStages({2, 3}, mixed).stage_hosts, (std::vector<size_t>{0, 1, 1}));
  EXPECT_EQ(PlaceStages({4, 1}, mixed).stage_hosts, (std::vector<size_t>{1}));
}

struct Case {
  std::unique_ptr<ModelShape> shape;
  Machines machines;
  Degrees degrees;
  Formats formats;
  Workload workload;

  Latency Run() const {
    const Layout layout = PlaceStages(degrees, machines);
    std::vector<std::vector<RankShare>> shares(static_cast<size_t>(degrees.pipeline));
    for (int64_t stage = 0; stage < degrees.pipeline; ++stage) {
      for (int64_t rank = 0; rank < degrees.tensor; ++rank) {
        shares[static_cast<size_t>(stage)].push_back(
            shape->ShareOf(degrees.RankAt(rank), degrees.StageAt(stage)));
      }
    }
    return LatencyOf({.facts = shape->facts(),
                      .machines = machines,
                      .layout = layout,
                      .shares = shares,
                      .formats = formats,
                      .workload = workload});
  }
};

TEST(LatencyTest, OneTokenReadsAllWeightsOnce) {
  const Case one = {Open("opt-30b"), Parse("1x100GB@1TB/s,100TFLOPs"), {}, kHalf, {.batch = 1}};
  const Latency latency = one.Run();
  const double cache = (512 + 64) * 48 * 2 * 7168 * 2.0;
  // Without the table of positions, of which one row is read.
  const double bytes = 2.0 * (29'974'540'288 - 2050 * 7168) + cache;
  EXPECT_NEAR(latency.decode.seconds, bytes / (kMemoryShare * 1e12), 1e-3 * latency.decode.seconds);
  EXPECT_NEAR(latency.decode.floor_seconds, bytes / 1e12, 1e-3 * latency.decode.seconds);
  EXPECT_EQ(latency.decode.bound, bench::Bound::kMemory);
  EXPECT_EQ(latency.decode.link_seconds, 0);
  EXPECT_EQ(latency.prompt.bound, bench::Bound::kArithmetic);
  // 512 tokens of 29.5 G products and some for attention.
  EXPECT_NEAR(latency.prompt.seconds, 512 * 29.6e9 / (kArithmeticShare * 50e12),
              0.05 * latency.prompt.seconds);
}

TEST(LatencyTest, RanksShareTheWorkAndAddSums) {
  const std::string spec = "100GB@1TB/s,100TFLOPs,link=200GB/s,latency=10us";
  const Case one = {Open("opt-30b"), Parse("1x" + spec), {}, kHalf, {.batch = 1}};
  const Case four = {Open("opt-30b"), Parse("4x" + spec), {.tensor = 4}, kHalf, {.batch = 1}};
  const Latency whole = one.Run(), divided = four.Run();
  // 97 sums of 28 KiB, 1.5 times over links of 100 GB/s, and a gather.
  const double links = 97 * (10e-6 + 1.5 * 4 * 7168 / 100e9) + 10e-6 + 3 * 4 * 12568 / 100e9;
  EXPECT_NEAR(divided.decode.link_seconds, links, 1e-9);
  EXPECT_NEAR(divided.decode.seconds - links, whole.decode.seconds / 4,
              0.01 * whole.decode.seconds);
  EXPECT_LT(divided.prompt.seconds, whole.prompt.seconds / 3);
}

TEST(LatencyTest, StagesHelpBatchesButNotSingleSequences) {
  const std::string spec = "100GB@1TB/s,100TFLOPs,link=200GB/s,latency=10us";
  const auto run = [&](const std::string& count, int64_t stages, int64_t batch) {
    const Case made = {Open("opt-30b"), Parse(count + spec), {1, stages}, kHalf, {.batch = batch}};
    return made.Run().decode.seconds;
  };
  EXPECT_NEAR(run("2x", 2, 1), run("1x", 1, 1), 0.01 * run("1x", 1, 1));
  // Two micro-batches: each stage reads its weights for both.
  EXPECT_NEAR(run("2x", 2, 2), run("1x", 1, 1), 0.05 * run("1x", 1, 1));
}

// Two processors that read 100 GB/s together, and 80 GB/s if one of them is alone.
Machines TwoProcessors(double lone_read_bandwidth) {
  const bench::LimitsSample limits = {
      .read_bandwidth = 100e9, .f32 = 1e15, .bf16 = 1e15, .int8 = 1e15};
  Machines machines;
  machines.hosts = {MachineWith({.limits = limits, .product_bandwidth = 90e9, .sums = {}}, 2)};
  machines.hosts.front().lone_read_bandwidth = lone_read_bandwidth;
  return machines;
}

TEST(LatencyTest, ThisMachineDecodesAsFastAsItsProductsRead) {
  const Machines machines = TwoProcessors(0);
  EXPECT_EQ(machines.hosts.front().device.sustained.read_bandwidth, kProductShare * 90e9);
  const Case made = {Open("opt-30b"), machines, {1, 1}, kHalf, {.batch = 1}};
  const PassesTime decode = made.Run().decode;
  EXPECT_NEAR(decode.floor_seconds / decode.seconds, kProductShare * 0.9, 1e-6);
}

TEST(LatencyTest, IntegersHaveSharesOfTheirOwnWhereFourBitProductsAreFaster) {
  const auto sustained = [](double int4) {
    const bench::LimitsSample limits = {
        .read_bandwidth = 100e9, .f32 = 2e11, .bf16 = 2e11, .int8 = 3e11, .int4 = int4};
    return MachineWith({.limits = limits, .product_bandwidth = 90e9, .sums = {}}, 2)
        .device.sustained;
  };
  EXPECT_DOUBLE_EQ(sustained(3e11).int4, kProcessorIntegerShare * 3e11);
  EXPECT_DOUBLE_EQ(sustained(3e11).int8, kProcessorIntegerShare * 3e11);
  EXPECT_DOUBLE_EQ(sustained(4e11).int4, kProcessorNibbleShare * 4e11);
  EXPECT_DOUBLE_EQ(sustained(4e11).int8, kProcessorByteShare * 3e11);
}

TEST(LatencyTest, AStageAloneReadsFasterThanItsShareOfTheMemory) {
  const auto run = [&](double lone, int64_t stages, int64_t batch) {
    const Case made = {Open("opt-30b"), TwoProcessors(lone), {1, stages}, kHalf, {.batch = batch}};
    return made.Run().decode.seconds;
  };
  const double whole = run(0, 1, 1);
  // Both halves of the weights, one after the other, at half of the bandwidth or at 80 % of it.
  EXPECT_NEAR(run(0, 2, 1), 2 * whole, 0.01 * whole);
  EXPECT_NEAR(run(80e9, 2, 1), whole / 0.8, 0.01 * whole);
  // Two micro-batches would read all weights twice, with both processors.
  EXPECT_NEAR(run(80e9, 2, 2), whole / 0.8, 0.05 * whole);
  EXPECT_NEAR(run(50e9, 2, 2), 2 * whole, 0.05 * whole);
}

TEST(LatencyTest, PromptsOfAPipelineAreCutAsTheSchedulerCutsThem) {
  const std::string spec = "100GB@1TB/s,100TFLOPs";
  const auto run = [&](const std::string& count, int64_t stages, int64_t batch) {
    const Case made = {Open("opt-30b"), Parse(count + spec), {1, stages}, kHalf, {.batch = batch}};
    return made.Run().prompt.seconds;
  };
  const double one = run("1x", 1, 1);
  // A whole prompt would pass two stages in the time of one; its pieces pass them at the same time.
  EXPECT_LT(run("2x", 2, 1), 0.9 * one);
  EXPECT_GT(run("2x", 2, 1), 0.5 * one);
  // Two whole prompts would need three halves.
  EXPECT_LT(run("2x", 2, 2), 1.4 * one);
  EXPECT_GT(run("2x", 2, 2), one);
}

TEST(LatencyTest, IntegersMultiplyAtTheirOwnRate) {
  const Case slow = {Open("opt-30b"), Parse("1x100GB@1TB/s,100TFLOPs"), {}, kInt8, {}};
  const Case fast = {Open("opt-30b"), Parse("1x100GB@1TB/s,100TFLOPs,int8=400TOPs"), {}, kInt8, {}};
  EXPECT_GT(slow.Run().prompt.seconds, 3 * fast.Run().prompt.seconds);
  EXPECT_EQ(slow.Run().decode.seconds, fast.Run().decode.seconds);
}

}  // namespace
}  // namespace dray::plan
