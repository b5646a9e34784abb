#include "serving/metrics/model_metrics.h"

#include <gtest/gtest.h>

#include <numeric>

namespace dray::serving {
namespace {

using Time = RequestClock::Clock::time_point;
using std::chrono::milliseconds;

uint64_t CountOf(const Histogram& histogram) {
  const auto counts = histogram.Take().counts;
  return std::accumulate(counts.begin(), counts.end(), uint64_t{0});
}

TEST(RequestClockTest, CountsEachRequestAndEachPauseBetweenTokens) {
  ModelMetrics metrics;
  RequestClock clock(&metrics, 7);
  const Time start = RequestClock::Clock::now() + milliseconds(1000);
  clock.OnStart(start);
  clock.OnStart(start + milliseconds(5));
  Time first_sequence;
  Time second_sequence;
  clock.OnToken(start + milliseconds(10), first_sequence);
  clock.OnToken(start + milliseconds(10), second_sequence);
  clock.OnToken(start + milliseconds(40), first_sequence);
  clock.OnEnd(RequestOutcome::kLength);
  clock.OnEnd(RequestOutcome::kFailed);

  EXPECT_EQ(CountOf(metrics.queue_time), 1U);
  EXPECT_GE(metrics.queue_time.Take().sum, 0.999);
  EXPECT_EQ(CountOf(metrics.time_to_first_token), 1U);
  EXPECT_DOUBLE_EQ(metrics.prefill_time.Take().sum, 0.010);
  EXPECT_EQ(CountOf(metrics.time_between_tokens), 1U);
  EXPECT_DOUBLE_EQ(metrics.time_between_tokens.Take().sum, 0.030);
  EXPECT_DOUBLE_EQ(metrics.decode_time.Take().sum, 0.030);
  EXPECT_DOUBLE_EQ(metrics.tokens_per_second.Take().sum, 3 / 0.040);
  EXPECT_DOUBLE_EQ(metrics.prompt_tokens.Take().sum, 7);
  EXPECT_DOUBLE_EQ(metrics.generated_tokens.Take().sum, 3);
  EXPECT_EQ(CountOf(metrics.request_time), 1U);
  EXPECT_EQ(metrics.ended[static_cast<size_t>(RequestOutcome::kLength)], 1U);
  EXPECT_EQ(metrics.ended[static_cast<size_t>(RequestOutcome::kFailed)], 0U);
}

TEST(RequestClockTest, ARequestWithoutTokensHasNoTimesOfThem) {
  ModelMetrics metrics;
  RequestClock clock(&metrics, 1);
  clock.OnEnd(RequestOutcome::kCancelled);
  EXPECT_EQ(CountOf(metrics.queue_time), 0U);
  EXPECT_EQ(CountOf(metrics.time_to_first_token), 0U);
  EXPECT_EQ(CountOf(metrics.decode_time), 0U);
  EXPECT_EQ(CountOf(metrics.tokens_per_second), 0U);
  EXPECT_EQ(CountOf(metrics.request_time), 1U);
}

}  // namespace
}  // namespace dray::serving
