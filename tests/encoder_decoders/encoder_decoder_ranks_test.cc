// Encoder-decoders divided over ranks and stages, over every transport: processes of this machine and
// the processes of an MPI job compute the bits that threads compute, stages change no bit, and the
// answers are transformers' greedy tokens. A rank that is lost is replaced, and its requests go on.
#include <gtest/gtest.h>
#include <signal.h>
#include <unistd.h>

#include <algorithm>
#include <memory>
#include <ostream>
#include <string>
#include <tuple>
#include <vector>

#include "base/log.h"
#include "base/testing/test_name.h"
#include "encoder_decoders/encoder_decoder_run.h"
#include "engine/engine_core.h"
#include "testing/engine_support.h"
#include "testing/rank_processes.h"

namespace dray::engine {
namespace {

using testing::GoldenEncoderDecoder;
using Sinks = std::vector<std::shared_ptr<RecordingSink>>;

std::unique_ptr<LoadedModel> Load(const GoldenEncoderDecoder& golden, const Shape& shape,
                                  RankTransport transport) {
  LoadModelOptions options;
  options.tensor_parallel_degree = shape.first;
  options.pipeline_parallel_degree = shape.second;
  options.backend_options.cpu.num_threads = static_cast<int>(shape.first * shape.second);
  options.ranks = {.transport = transport, .program = DRAY_PROGRAM};
  return LoadGolden(golden, options);
}

Sinks AddGreedy(EngineCore& core, const GoldenEncoderDecoder& golden) {
  Sinks sinks;
  for (const testing::GoldenSource& source : golden.sources) {
    sinks.push_back(std::make_shared<RecordingSink>());
    core.Add(RequestId(sinks.size()),
             MakeRequest(source.ids, static_cast<int64_t>(source.greedy.size())), sinks.back());
  }
  return sinks;
}

void ExpectGreedy(const Sinks& sinks, const GoldenEncoderDecoder& golden) {
  for (size_t i = 0; i < sinks.size(); ++i) {
    EXPECT_TRUE(sinks[i]->status().ok()) << sinks[i]->status().ToString();
    EXPECT_EQ(sinks[i]->Ids(), golden.sources[i].greedy)
        << "source of " << golden.sources[i].ids.size();
  }
}

void ExpectGreedyAnswers(LoadedModel& model, const GoldenEncoderDecoder& golden) {
  const auto core = EngineCore::Make(model, {.max_sequences = 8, .block_size = 16});
  ASSERT_TRUE(core.ok()) << core.status().ToString();
  const Sinks sinks = AddGreedy(**core, golden);
  while ((*core)->Step()) {
  }
  ExpectGreedy(sinks, golden);
  EXPECT_EQ((*core)->stats().free_blocks, (*core)->stats().total_blocks);
}

struct Cell {
  std::string variant;
  Shape shape;
};
void PrintTo(const Cell& cell, std::ostream* out) {
  *out << cell.variant << " at " << cell.shape.first << " x " << cell.shape.second;
}

class EncoderDecoderRanksTest : public ::testing::TestWithParam<Cell> {};

TEST_P(EncoderDecoderRanksTest, EveryTransportComputesTheSameBits) {
  const auto& [variant, shape] = GetParam();
  const auto golden = testing::ReadGoldenEncoderDecoder(variant);
  const auto threads = Load(golden, shape, RankTransport::kThreads);
  const auto one_stage = Load(golden, {shape.first, 1}, RankTransport::kThreads);
  ASSERT_TRUE(threads != nullptr && one_stage != nullptr);
  const auto expected = GoldenTokenLogits(*one_stage, golden.sources);
  EXPECT_EQ(GoldenTokenLogits(*threads, golden.sources), expected);
  ExpectGreedyAnswers(*threads, golden);
  for (const RankTransport transport : kOtherTransports) {
    SCOPED_TRACE(NameOf(transport));
    const auto others = Load(golden, shape, transport);
    ASSERT_NE(others, nullptr);
    EXPECT_EQ(others->weight_bytes(), threads->weight_bytes());
    EXPECT_EQ(GoldenTokenLogits(*others, golden.sources), expected);
    ExpectGreedyAnswers(*others, golden);
  }
}

std::string TestName(const ::testing::TestParamInfo<Cell>& info) {
  const auto& [variant, shape] = info.param;
  return AsTestName(variant + "_" + std::to_string(shape.first) + "x" +
                    std::to_string(shape.second));
}

// Of t5-deep, whose encoder has four layers and whose decoder has three, three stages have one in the
// middle. The others have heads that are padding, a head of their own, and a format of 16 bits.
INSTANTIATE_TEST_SUITE_P(Degrees, EncoderDecoderRanksTest,
                         ::testing::Values(Cell{"t5", {1, 1}}, Cell{"t5", {2, 1}},
                                           Cell{"t5", {1, 2}}, Cell{"t5-v1_1", {2, 2}},
                                           Cell{"mt5", {1, 2}}, Cell{"t5-bf16", {2, 1}},
                                           Cell{"t5-deep", {1, 3}}, Cell{"t5-deep", {2, 2}}),
                         TestName);

TEST(EncoderDecoderStagesTest, FormatsAndCachesAreThoseOfOneStage) {
  const auto golden = testing::ReadGoldenEncoderDecoder("t5-deep");
  const auto logits = [&](int64_t num_stages, kernels::WeightFormat format, DType kv_dtype) {
    const auto model = LoadGolden(golden, {.format = format,
                                           .pipeline_parallel_degree = num_stages,
                                           .backend_options = {.cpu = {.num_threads = 3}}});
    return model == nullptr ? std::vector<float>()
                            : GoldenTokenLogits(*model, golden.sources, kv_dtype);
  };
  for (const auto format : {kernels::WeightFormat::kI8, kernels::WeightFormat::kBF16}) {
    EXPECT_EQ(logits(3, format, DType::kI8), logits(1, format, DType::kI8)) << Name(format);
  }
}

// Every stage needs a layer of each of the two stacks.
TEST(EncoderDecoderStagesTest, MoreStagesThanLayersAreRefused) {
  const auto golden = testing::ReadGoldenEncoderDecoder("ul2");
  const Status status =
      LoadModel({.model_dir = golden.dir,
                 .pipeline_parallel_degree = 2,
                 .backend_options = {.cpu = {.num_threads = 2, .oversubscribe = true}}})
          .status();
  EXPECT_EQ(status.code(), StatusCode::kInvalidArgument);
  EXPECT_NE(
      status.message().find("a layer of the encoder and one of the decoder, and the model has "
                            "2 and 1: 1 to 1 would do"),
      std::string::npos)
      << status.message();
}

class LostEncoderDecoderRankTest
    : public ::testing::TestWithParam<std::tuple<RankTransport, Shape>> {
 protected:
  void SetUp() override { SetLogLevel(LogLevel::kOff); }
  void TearDown() override { SetLogLevel(LogLevel::kInfo); }
};

// The sources are read anew, and the answers go on behind the tokens that were sent.
TEST_P(LostEncoderDecoderRankTest, RequestsGoOn) {
  const auto golden = testing::ReadGoldenEncoderDecoder("t5-deep");
  const auto& [transport, shape] = GetParam();
  const auto model = Load(golden, shape, transport);
  ASSERT_NE(model, nullptr);
  const auto core = EngineCore::Make(*model, {.max_sequences = 8, .block_size = 16}).value();
  const Sinks sinks = AddGreedy(*core, golden);
  for (int i = 0; i < 6; ++i) core->Step();
  ASSERT_FALSE(sinks.front()->Ids().empty());
  const auto children = ChildrenOf(::getpid());
  SignalRank(
      transport == RankTransport::kMpi ? ChildrenOf(children.front()).back() : children.back(),
      SIGKILL);
  for (;;) {
    if (auto restart = core->TakeRestart()) core->FinishRestart(restart->Run());
    if (!core->Step() && !core->restarting()) break;
    EXPECT_TRUE(core->CheckIntegrity().ok());
  }
  EXPECT_EQ(core->stats().restarts, 1U);
  ExpectGreedy(sinks, golden);
}

INSTANTIATE_TEST_SUITE_P(Shapes, LostEncoderDecoderRankTest,
                         ::testing::Combine(::testing::ValuesIn(kOtherTransports),
                                            ::testing::Values(Shape{2, 1}, Shape{1, 3})));

}  // namespace
}  // namespace dray::engine
