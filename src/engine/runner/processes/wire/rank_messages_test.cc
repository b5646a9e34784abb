#include "engine/runner/processes/wire/rank_messages.h"

#include <gtest/gtest.h>

#include <functional>
#include <string>

namespace dray::engine {
namespace {

using Bytes = std::vector<std::byte>;

LoadModelOptions ModelOptions() {
  LoadModelOptions options;
  options.model_dir = "/models/\xff un\"usual";
  options.format =
      kernels::WeightForm(kernels::WeightFormat::kI4, 64, kernels::ZeroPoint::kPerGroup);
  options.smoothing = SmoothingOptions{.calibration_file = "c.json", .alpha = 0.3};
  options.int8_cache = true;
  options.quantized_by = "awq";
  options.tensor_parallel_degree = 3;
  options.pipeline_parallel_degree = 2;
  options.ranks.timeout = std::chrono::milliseconds(1234);
  options.only_rank = 5;
  options.ranks.share = {.index = 1, .count = 3};
  options.backend_options.cpu = {.num_threads = 7, .pin_threads = false, .isa = "portable"};
  options.forbid_pickle = true;
  options.load_format = LoadFormat::kDummy;
  return options;
}

TEST(RankMessagesTest, AModelComesBackAsItWas) {
  const Bytes message = EncodeLoad(ModelOptions());
  EXPECT_EQ(KindOf(message).value(), RankMessageKind::kLoad);
  const auto decoded = DecodeLoad(message);
  ASSERT_TRUE(decoded.ok()) << decoded.status().ToString();
  EXPECT_EQ(EncodeLoad(*decoded), message);
  EXPECT_EQ(decoded->model_dir, ModelOptions().model_dir);
  EXPECT_EQ(decoded->format, ModelOptions().format);
  EXPECT_FALSE(decoded->table_format.has_value());
  EXPECT_EQ(decoded->smoothing->alpha, 0.3);
  EXPECT_TRUE(decoded->int8_cache);
  EXPECT_EQ(decoded->only_rank, 5);
  EXPECT_EQ(decoded->ranks.share.index, 1);
  EXPECT_EQ(decoded->ranks.share.count, 3);
  EXPECT_EQ(decoded->backend_options.cpu.isa, "portable");
}

TEST(RankMessagesTest, SizesComeBackAsTheyWere) {
  RunMessage run = {.spec = {.cache = {.num_blocks = 9, .block_size = 16, .dtype = DType::kI8},
                             .step = {.max_batch_tokens = 5, .max_logit_rows = 2}},
                    .has_before = true,
                    .has_state_link = true};
  const Bytes message = EncodeRun(run);
  const auto decoded = DecodeRun(message);
  ASSERT_TRUE(decoded.ok()) << decoded.status().ToString();
  EXPECT_EQ(EncodeRun(*decoded), message);
  EXPECT_EQ(decoded->spec.cache.dtype, DType::kI8);
  EXPECT_TRUE(decoded->has_before);
  EXPECT_FALSE(decoded->has_next);
  EXPECT_TRUE(decoded->has_state_link);
}

TEST(RankMessagesTest, ReportsComeBackAsTheyWere) {
  const Status failed = DecodeFailed(EncodeFailed({StatusCode::kNotFound, "no such file"}));
  EXPECT_EQ(failed.ToString(), "not found: no such file");
  const auto loaded = DecodeLoaded(EncodeLoaded({{12, 13}, "cpu"}));
  EXPECT_EQ(loaded->backend, "cpu");
  EXPECT_EQ(loaded->weight_bytes, (std::vector<uint64_t>{12, 13}));
  const RankTraffic sent = TrafficOf({1, 2, 3, 4, 5, 6, 7});
  const auto traffic = DecodeTraffic(EncodeTraffic(std::vector{sent, RankTraffic()}));
  ASSERT_EQ(traffic->size(), 2U);
  EXPECT_EQ(CountersOf(traffic->front()), (TrafficCounters{1, 2, 3, 4, 5, 6, 7}));
  EXPECT_EQ(traffic->front().to_next.bytes, 7U);
  const auto hello = DecodeHello(EncodeHello({3, "secret"}));
  EXPECT_EQ(hello->rank, 3);
  EXPECT_EQ(hello->secret, "secret");
  EXPECT_EQ(DecodeProgress(EncodeProgress({3, 4}))->total_bytes, 4U);
  EXPECT_EQ(KindOf(EncodeKind(RankMessageKind::kReady)).value(), RankMessageKind::kReady);
}

// Each message, cut at every byte, with more bytes, and with every byte changed, is refused or is
// another valid message.
TEST(RankMessagesTest, DamagedMessagesAreRefused) {
  const std::vector<std::pair<Bytes, std::function<Status(const Bytes&)>>> cases = {
      {EncodeLoad(ModelOptions()), [](const Bytes& m) { return DecodeLoad(m).status(); }},
      {EncodeRun({}), [](const Bytes& m) { return DecodeRun(m).status(); }},
      {EncodeProgress({1, 2}), [](const Bytes& m) { return DecodeProgress(m).status(); }},
      {EncodeLoaded({{1}, "cpu"}), [](const Bytes& m) { return DecodeLoaded(m).status(); }},
      {EncodeTraffic(std::vector<RankTraffic>(2)),
       [](const Bytes& m) { return DecodeTraffic(m).status(); }},
      {EncodeHello({1, "secret"}), [](const Bytes& m) { return DecodeHello(m).status(); }}};
  for (const auto& [message, decode] : cases) {
    EXPECT_TRUE(decode(message).ok());
    for (size_t size = 0; size < message.size(); ++size) {
      EXPECT_FALSE(
          decode({message.begin(), message.begin() + static_cast<std::ptrdiff_t>(size)}).ok());
    }
    Bytes longer = message;
    longer.push_back(std::byte{0});
    EXPECT_FALSE(decode(longer).ok());
    for (size_t i = 0; i < message.size(); ++i) {
      Bytes wrong = message;
      wrong[i] = std::byte{0xff};
      static_cast<void>(decode(wrong));
    }
  }
  EXPECT_FALSE(KindOf({}).ok());
  EXPECT_FALSE(KindOf(Bytes{std::byte{99}}).ok());
}

TEST(RankMessagesTest, ValuesAreChecked) {
  LoadModelOptions options = ModelOptions();
  options.only_rank = 6;
  EXPECT_EQ(DecodeLoad(EncodeLoad(options)).status().code(), StatusCode::kCorrupt);
  RunMessage run;
  run.spec.cache.num_blocks = -1;
  EXPECT_EQ(DecodeRun(EncodeRun(run)).status().code(), StatusCode::kCorrupt);
  EXPECT_EQ(DecodeFailed(EncodeFailed(OkStatus())).code(), StatusCode::kCorrupt);
}

}  // namespace
}  // namespace dray::engine
