// Encoders divided over ranks and stages, over every transport: processes of this machine and the processes of
// an MPI job compute the bits that threads compute, stages change no bit, and the numbers are transformers'.
// A rank that is lost is replaced, and the requests are answered.
#include <gtest/gtest.h>
#include <signal.h>
#include <unistd.h>

#include <algorithm>
#include <iterator>
#include <memory>
#include <ostream>
#include <string>
#include <utility>
#include <vector>

#include "base/log.h"
#include "base/testing/test_name.h"
#include "encoders/encoder_run.h"
#include "engine/encoder/encoder_engine.h"
#include "testing/rank_processes.h"

namespace dray::engine {
namespace {

using testing::GoldenEncoder;

LoadModelOptions OptionsOf(const GoldenEncoder& golden, const Shape& shape,
                           RankTransport transport) {
  LoadModelOptions options;
  options.model_dir = golden.dir;
  options.format = kernels::WeightFormat::kF32;
  options.tensor_parallel_degree = shape.first;
  options.pipeline_parallel_degree = shape.second;
  options.backend_options.cpu = {.num_threads = static_cast<int>(shape.first * shape.second),
                                 .oversubscribe = true};
  options.ranks = {.transport = transport, .program = DRAY_PROGRAM};
  return options;
}

EncodeNumbers RunAll(const GoldenEncoder& golden, const LoadModelOptions& options) {
  LoadedEncoder encoder(golden, options);
  return encoder.ok() ? encoder.Run(AllTexts(golden)) : EncodeNumbers();
}

void ExpectEqual(const EncodeNumbers& got, const EncodeNumbers& expected) {
  EXPECT_EQ(got.states, expected.states);
  EXPECT_EQ(got.classes, expected.classes);
}

struct Cell {
  std::string variant;
  Shape shape;
};
void PrintTo(const Cell& cell, std::ostream* out) {
  *out << cell.variant << " at " << cell.shape.first << " x " << cell.shape.second;
}

std::string TestName(const ::testing::TestParamInfo<Cell>& info) {
  const auto& [variant, shape] = info.param;
  return AsTestName(variant + "_" + std::to_string(shape.first) + "x" +
                    std::to_string(shape.second));
}

// Three ranks pad the five heads of most variants.
constexpr Shape kShapes[] = {{1, 1}, {2, 1}, {3, 1}, {1, 2}, {2, 2}, {3, 2}};

std::vector<Cell> CellsOf(const std::vector<std::string>& variants) {
  std::vector<Cell> cells;
  for (const std::string& variant : variants) {
    if (variant == "bert-one-head") continue;  // which cannot be divided
    for (const Shape& shape : kShapes) cells.push_back({variant, shape});
  }
  return cells;
}

class EncoderThreadsTest : public ::testing::TestWithParam<Cell> {};

TEST_P(EncoderThreadsTest, NumbersAreThoseOfTransformersAndStagesChangeNoBit) {
  const auto& [variant, shape] = GetParam();
  const auto golden = testing::ReadGoldenEncoder(variant);
  LoadedEncoder encoder(golden, OptionsOf(golden, shape, RankTransport::kThreads));
  ASSERT_TRUE(encoder.ok());
  EXPECT_EQ(encoder.num_ranks(), shape.first * shape.second);
  const EncodeNumbers got = encoder.Run(AllTexts(golden));
  const EncodeNumbers expected = ExpectedNumbers(golden);
  EXPECT_LT(LargestDifference(got.states, expected.states), kEncoderTolerance);
  EXPECT_LT(LargestDifference(got.classes, expected.classes), kEncoderTolerance);
  ExpectEqual(EachByItself(encoder, golden), got);
  ExpectEqual(got, RunAll(golden, OptionsOf(golden, {shape.first, 1}, RankTransport::kThreads)));
}

INSTANTIATE_TEST_SUITE_P(Degrees, EncoderThreadsTest,
                         ::testing::ValuesIn(CellsOf(testing::GoldenEncoderVariants())), TestName);

class EncoderTransportsTest : public ::testing::TestWithParam<Cell> {};

TEST_P(EncoderTransportsTest, ComputeTheBitsOfThreads) {
  const auto& [variant, shape] = GetParam();
  const auto golden = testing::ReadGoldenEncoder(variant);
  const EncodeNumbers expected = RunAll(golden, OptionsOf(golden, shape, RankTransport::kThreads));
  for (const RankTransport transport : kOtherTransports) {
    SCOPED_TRACE(NameOf(transport));
    LoadedEncoder encoder(golden, OptionsOf(golden, shape, transport));
    ASSERT_TRUE(encoder.ok());
    ExpectEqual(encoder.Run(AllTexts(golden)), expected);
    ExpectEqual(EachByItself(encoder, golden), expected);
  }
}

// With and without types of tokens, classes, and a format of 16 bits.
INSTANTIATE_TEST_SUITE_P(
    Degrees, EncoderTransportsTest,
    ::testing::ValuesIn(CellsOf({"bert-classifier", "distilbert", "xlm-roberta"})), TestName);

TEST(EncoderRanksTest, IntegersAreThoseOfOneStageOverEveryTransport) {
  const auto golden = testing::ReadGoldenEncoder("bert");
  const auto numbers = [&](const Shape& shape, RankTransport transport,
                           kernels::WeightFormat format) {
    LoadModelOptions options = OptionsOf(golden, shape, transport);
    options.format = format;
    return RunAll(golden, options);
  };
  for (const auto format : {kernels::WeightFormat::kI8, kernels::WeightFormat::kBF16}) {
    SCOPED_TRACE(Name(format));
    const EncodeNumbers expected = numbers({2, 1}, RankTransport::kThreads, format);
    ExpectEqual(numbers({2, 2}, RankTransport::kThreads, format), expected);
    for (const RankTransport transport : kOtherTransports) {
      ExpectEqual(numbers({2, 2}, transport, format), expected);
    }
  }
}

TEST(EncoderRanksTest, StagesComputeSeveralPassesAtOnce) {
  const auto golden = testing::ReadGoldenEncoder("bert-classifier");
  for (const RankTransport transport : {RankTransport::kThreads, RankTransport::kProcesses}) {
    SCOPED_TRACE(NameOf(transport));
    LoadedEncoder encoder(golden, OptionsOf(golden, {1, 2}, transport));
    ASSERT_TRUE(encoder.ok());
    ASSERT_EQ(encoder.runner().max_steps_in_flight(), 2U);
    const EncodeNumbers first = encoder.Run({&golden.texts[0]});
    const EncodeNumbers second = encoder.Run({&golden.texts[1]});
    RunnerStep steps[2];
    for (size_t i = 0; i < 2; ++i) {
      encoder.Fill({&golden.texts[i]}, steps[i]);
      encoder.runner().Submit(steps[i]);
    }
    ExpectEqual(encoder.Collect(steps[0]), first);
    ExpectEqual(encoder.Collect(steps[1]), second);
  }
}

// The figures of docs/ranks.md: a sum behind the token table, and two in each layer, of which each of the two
// stages has one.
TEST(EncoderRanksTest, RanksSendWhatThePlanSays) {
  const auto golden = testing::ReadGoldenEncoder("bert");
  std::vector<RankTransport> transports = {RankTransport::kThreads};
  transports.insert(transports.end(), std::begin(kOtherTransports), std::end(kOtherTransports));
  for (const RankTransport transport : transports) {
    SCOPED_TRACE(NameOf(transport));
    LoadedEncoder encoder(golden, OptionsOf(golden, {2, 2}, transport));
    ASSERT_TRUE(encoder.ok());
    encoder.Run({&golden.texts[0]});
    const auto traffic = encoder.runner().ReadTraffic();
    ASSERT_TRUE(traffic.ok()) << traffic.status().ToString();
    ASSERT_EQ(traffic->size(), 4U);
    const uint64_t numbers = golden.texts[0].states.size();
    for (size_t rank = 0; rank < 4; ++rank) {
      const uint64_t is_first = rank < 2 ? 1 : 0, sums = 2 + is_first;
      const RankTraffic expected = {
          .group = {.sums = sums,
                    .sum_numbers = sums * numbers,
                    .received_bytes = sums * numbers * sizeof(float)},
          .to_next = {.messages = is_first, .bytes = is_first * numbers * sizeof(float)}};
      EXPECT_EQ(CountersOf((*traffic)[rank]), CountersOf(expected)) << "rank " << rank;
    }
  }
}

TEST(EncoderRanksTest, MoreStagesThanLayersAreRefused) {
  const auto golden = testing::ReadGoldenEncoder("bert-one-head");
  const Status status = LoadModel(OptionsOf(golden, {1, 2}, RankTransport::kThreads)).status();
  EXPECT_EQ(status.code(), StatusCode::kInvalidArgument);
  EXPECT_NE(status.message().find("each stage needs a layer, and the model has 1: 1 to 1 would do"),
            std::string::npos)
      << status.message();
}

struct Loss {
  RankTransport transport = RankTransport::kProcesses;
  Shape shape;
  int signal = SIGKILL;
};
void PrintTo(const Loss& loss, std::ostream* out) {
  *out << NameOf(loss.transport) << " " << loss.shape.first << " x " << loss.shape.second
       << (loss.signal == SIGSTOP ? " stopped" : " killed");
}

class LostEncoderRankTest : public ::testing::TestWithParam<Loss> {
 protected:
  void SetUp() override {
    SetLogLevel(LogLevel::kOff);
    golden_ = testing::ReadGoldenEncoder("bert");
    LoadModelOptions options = OptionsOf(golden_, GetParam().shape, GetParam().transport);
    if (GetParam().signal == SIGSTOP) options.ranks.timeout = std::chrono::milliseconds(6000);
    std::shared_ptr<LoadedModel> model = LoadRanks(options);
    ASSERT_NE(model, nullptr);
    auto engine = EncoderEngine::Start(std::move(model), SentenceConfig(), {});
    ASSERT_TRUE(engine.ok()) << engine.status().ToString();
    engine_ = std::move(*engine);
    const auto sink = Encode();
    ASSERT_TRUE(sink->Wait().ok());
    expected_ = sink->numbers();
  }
  void TearDown() override { SetLogLevel(LogLevel::kInfo); }

  // All texts, many times.
  std::shared_ptr<EncodeAnswerSink> Encode() {
    auto sink = std::make_shared<EncodeAnswerSink>();
    EncodeRequest request;
    for (int i = 0; i < 20; ++i) {
      for (const testing::GoldenText& text : golden_.texts) {
        request.texts.push_back({text.ids, text.types});
      }
    }
    EXPECT_TRUE(engine_->Submit(std::move(request), sink).ok());
    return sink;
  }

  // The process of the last rank.
  static pid_t LastRank() {
    const auto children = ChildrenOf(::getpid());
    return GetParam().transport == RankTransport::kMpi ? ChildrenOf(children.front()).back()
                                                       : children.back();
  }

  GoldenEncoder golden_;
  std::unique_ptr<EncoderEngine> engine_;
  std::vector<float> expected_;
};

TEST_P(LostEncoderRankTest, RequestsAreAnswered) {
  std::vector<std::shared_ptr<EncodeAnswerSink>> sinks;
  for (int i = 0; i < 20; ++i) sinks.push_back(Encode());
  sinks.front()->AwaitFirst();
  SignalRank(LastRank(), GetParam().signal);
  for (const auto& sink : sinks) {
    const Status status = sink->Wait();
    EXPECT_TRUE(status.ok()) << status.ToString();
    EXPECT_EQ(sink->numbers(), expected_);
    EXPECT_EQ(sink->num_starts(), 1);
  }
  EXPECT_TRUE(engine_->healthy());
}

TEST_P(LostEncoderRankTest, AnIdleEngineGetsNewRanks) {
  SignalRank(LastRank(), GetParam().signal);
  while (engine_->stats().restarts < 1 || engine_->stats().restarting > 0) ::usleep(1000);
  const auto sink = Encode();
  const Status status = sink->Wait();
  EXPECT_TRUE(status.ok()) << status.ToString();
  EXPECT_EQ(sink->numbers(), expected_);
}

std::vector<Loss> Losses() {
  std::vector<Loss> losses;
  for (const RankTransport transport : kOtherTransports) {
    losses.push_back({transport, {2, 1}, SIGKILL});
    losses.push_back({transport, {2, 2}, SIGKILL});
    losses.push_back({transport, {1, 2}, SIGSTOP});
  }
  return losses;
}

INSTANTIATE_TEST_SUITE_P(Ranks, LostEncoderRankTest, ::testing::ValuesIn(Losses()));

}  // namespace
}  // namespace dray::engine
