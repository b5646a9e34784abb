#include "cli/top/server_view.h"

#include <gtest/gtest.h>

#include <cmath>

namespace dray::cli {
namespace {

const std::vector<double> kBounds = {1, 2, 4, INFINITY};

TEST(QuantileTest, LiesWithinItsBucket) {
  // 2 values up to 1, 4 in (1, 2], 2 in (2, 4], 2 above.
  const BucketCounts now = {kBounds, {2, 6, 8, 10}};
  EXPECT_DOUBLE_EQ(QuantileBetween({}, now, 0.1)->seconds, 0.5);
  EXPECT_DOUBLE_EQ(QuantileBetween({}, now, 0.2)->seconds, 1);
  EXPECT_DOUBLE_EQ(QuantileBetween({}, now, 0.5)->seconds, 1.75);
  EXPECT_DOUBLE_EQ(QuantileBetween({}, now, 0.8)->seconds, 4);
  EXPECT_FALSE(QuantileBetween({}, now, 0.8)->is_beyond);
  EXPECT_DOUBLE_EQ(QuantileBetween({}, now, 0.95)->seconds, 4);
  EXPECT_TRUE(QuantileBetween({}, now, 0.95)->is_beyond);
}

TEST(QuantileTest, CountsOnlyWhatCameSince) {
  const BucketCounts before = {kBounds, {2, 6, 8, 10}};
  EXPECT_FALSE(QuantileBetween(before, before, 0.5));
  const BucketCounts now = {kBounds, {2, 6, 10, 12}};
  EXPECT_DOUBLE_EQ(QuantileBetween(before, now, 0.5)->seconds, 3);
  EXPECT_FALSE(QuantileBetween({}, {}, 0.5));
  EXPECT_FALSE(QuantileBetween({{1, INFINITY}, {0, 0}}, now, 0.5));
  EXPECT_FALSE(QuantileBetween({}, {kBounds, {NAN, NAN, NAN, NAN}}, 0.5));
}

ServerSample SampleAt(double seconds, double tokens) {
  ServerSample sample;
  sample.taken_seconds = seconds;
  sample.start_seconds = 100;
  sample.cpu_seconds = seconds / 2;
  sample.responses[2] = 10 * seconds;
  ModelNumbers numbers;
  numbers.prompt_tokens = 2 * tokens;
  numbers.generated_tokens = tokens;
  numbers.steps = tokens / 4;
  numbers.step_sequences = tokens;
  numbers.queue_time = {kBounds, {tokens, tokens, tokens, tokens}};
  sample.Model("m", "").numbers = numbers;
  return sample;
}

TEST(SampleHistoryTest, RatesAreThoseSinceTheLastSample) {
  SampleHistory history(30);
  history.Add(SampleAt(10, 100));
  ServerView view = history.View(160);
  EXPECT_EQ(view.up_seconds, 60);
  EXPECT_EQ(view.busy_processors, 0);
  EXPECT_FALSE(view.window_seconds);
  EXPECT_EQ(view.models.at(0).generated_token_rate, 0);
  EXPECT_TRUE(view.models.at(0).queue_time.p50);

  history.Add(SampleAt(12, 300));
  history.Add(SampleAt(14, 340));
  view = history.View(160);
  EXPECT_DOUBLE_EQ(view.busy_processors, 0.5);
  EXPECT_DOUBLE_EQ(view.response_rates[2], 10);
  EXPECT_EQ(view.window_seconds, 4);
  const ModelView& model = view.models.at(0);
  EXPECT_DOUBLE_EQ(model.generated_token_rate, 20);
  EXPECT_DOUBLE_EQ(model.prompt_token_rate, 40);
  EXPECT_DOUBLE_EQ(model.batch, 4);
  EXPECT_EQ(model.token_rates, (std::vector<double>{100, 20}));
}

TEST(SampleHistoryTest, LatenciesAreThoseOfTheWindow) {
  SampleHistory window(5);
  SampleHistory all(std::nullopt);
  for (const double seconds : {0.0, 2.0, 4.0, 8.0, 10.0}) {
    // Requests came before the fourth second only.
    window.Add(SampleAt(seconds, std::min(seconds, 4.0)));
    all.Add(SampleAt(seconds, std::min(seconds, 4.0)));
  }
  EXPECT_EQ(window.View(0).window_seconds, 6);
  EXPECT_FALSE(window.View(0).models.at(0).queue_time.p50);
  EXPECT_DOUBLE_EQ(all.View(0).models.at(0).queue_time.p50->seconds, 0.5);
}

TEST(SampleHistoryTest, AServerOrModelThatBeganAnewHasNoRates) {
  SampleHistory history(30);
  history.Add(SampleAt(10, 100));
  history.Add(SampleAt(12, 8));  // the model was loaded anew
  const ServerView reloaded = history.View(0);
  EXPECT_EQ(reloaded.models.at(0).generated_token_rate, 0);
  EXPECT_DOUBLE_EQ(reloaded.models.at(0).queue_time.p50->seconds, 0.5);
  EXPECT_EQ(reloaded.response_rates[2], 10);

  ServerSample restarted = SampleAt(14, 1000);
  restarted.start_seconds = 200;
  history.Add(restarted);
  EXPECT_EQ(history.View(0).response_rates[2], 0);
  EXPECT_TRUE(history.View(0).models.at(0).token_rates.empty());
  EXPECT_EQ(history.View(150).up_seconds, 0);  // the clocks of two machines
}

TEST(SampleHistoryTest, TextsOfTheServerCanBePrinted) {
  SampleHistory history(30);
  ServerSample sample;
  sample.Model("a\x1b[2J", "\n").status = {.state = "\t", .failure = "\xC3\xA4"};
  history.Add(sample);
  const ModelView model = history.View(0).models.at(0);
  EXPECT_EQ(model.name, "a?[2J");
  EXPECT_EQ(model.version, "?");
  EXPECT_EQ(model.status.state, "?");
  EXPECT_EQ(model.status.failure, "??");
}

}  // namespace
}  // namespace dray::cli
