// What the measurement of a pipeline finds out, with a simulated pipeline and its clock.
#include "engine/step/measure_pipeline.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <chrono>
#include <deque>
#include <vector>

namespace dray::engine {
namespace {

using Clock = std::chrono::steady_clock;

constexpr int64_t kStages = 2;
// Milliseconds.
constexpr int64_t kReadAlone = 60, kReadTogether = 100, kRow = 7;

Clock::time_point simulated_now;
Clock::time_point SimulatedNow() { return simulated_now; }

// Computes steps in simulated time, in which a stage has the costs above.
class SimulatedPipeline final : public ModelRunner {
 public:
  size_t max_steps_in_flight() const override { return kStages; }
  void Submit(const RunnerStep& step) override {
    const auto rows = static_cast<int64_t>(step.batch.ids.size());
    in_flight_.push_back(rows);
    most_in_flight_ = std::max(most_in_flight_, in_flight_.size());
    most_rows_ = std::max(most_rows_, rows);
    num_sources_ += step.sources.texts.lengths.size();
    EXPECT_EQ(step.batch.positions.back(), rows - 1);
    EXPECT_EQ(step.logit_rows.size(), 1U);
  }
  StepPiece Collect() override {
    if (num_until_failure_-- == 0) {
      return {.status = {StatusCode::kUnavailable, "rank 1 is gone"},
              .scope = FailureScope::kRunner,
              .is_last = true};
    }
    const auto busy = static_cast<int64_t>(in_flight_.size());
    const int64_t read = std::max(kReadAlone, kReadTogether * busy / kStages);
    const int64_t stage = read + (in_flight_.front() - 1) * kRow;
    // A step beside others has passed the first stages already.
    simulated_now += std::chrono::milliseconds(busy == 1 ? stage * kStages : stage);
    in_flight_.pop_front();
    return {.is_last = true};
  }
  void Abandon() override {}

  void FailAfter(int num_pieces) { num_until_failure_ = num_pieces; }
  size_t num_in_flight() const { return in_flight_.size(); }
  size_t most_in_flight() const { return most_in_flight_; }
  int64_t most_rows() const { return most_rows_; }
  size_t num_sources() const { return num_sources_; }

 private:
  std::deque<int64_t> in_flight_;  // rows of each step
  size_t most_in_flight_ = 0;
  int64_t most_rows_ = 0;
  size_t num_sources_ = 0;
  int num_until_failure_ = -1;
};

RunnerSpec SpecOf(int64_t num_blocks, int64_t max_batch_tokens) {
  RunnerSpec spec;
  spec.cache.num_blocks = static_cast<decltype(spec.cache.num_blocks)>(num_blocks);
  spec.cache.block_size = 16;
  spec.step = {.max_batch_tokens = max_batch_tokens,
               .max_sequences = 4,
               .max_logit_rows = 4,
               .max_table_entries = 64};
  return spec;
}

TEST(MeasurePipelineTest, FindsTheCostsOfAStage) {
  SimulatedPipeline pipeline;
  const auto costs = MeasurePipeline(pipeline, SpecOf(20, 512), {kStages}, &SimulatedNow);
  ASSERT_TRUE(costs.ok());
  EXPECT_EQ(costs->num_stages, kStages);
  EXPECT_NEAR(costs->read_alone, 0.060, 1e-9);
  EXPECT_NEAR(costs->read_together, 0.100, 1e-9);
  EXPECT_NEAR(costs->row, 0.007, 1e-9);
  EXPECT_EQ(pipeline.most_in_flight(), static_cast<size_t>(kStages));
  EXPECT_EQ(pipeline.most_rows(), 32);
  EXPECT_EQ(pipeline.num_in_flight(), 0U) << "later steps find the pipeline empty";
  // A stage computes 8 rows in 109 ms, and 4 rows beside another stage in 121; 16 and 8 in 165 and 149.
  EXPECT_EQ(scheduler::NumMicroBatches(*costs, 8), 1);
  EXPECT_EQ(scheduler::NumMicroBatches(*costs, 16), 2);
}

TEST(MeasurePipelineTest, StepsFitTheCacheAndTheBatch) {
  SimulatedPipeline small_cache;
  const auto by_cache = MeasurePipeline(small_cache, SpecOf(1, 512), {kStages}, &SimulatedNow);
  ASSERT_TRUE(by_cache.ok());
  EXPECT_EQ(small_cache.most_rows(), 16);
  EXPECT_NEAR(by_cache->row, 0.007, 1e-9);
  SimulatedPipeline small_batch;
  ASSERT_TRUE(MeasurePipeline(small_batch, SpecOf(20, 9), {kStages}, &SimulatedNow).ok());
  EXPECT_EQ(small_batch.most_rows(), 9);
}

TEST(MeasurePipelineTest, RowsOfAnEncoderDecoderFollowASource) {
  SimulatedPipeline pipeline;
  const MeasuredPipeline measured = {.num_stages = kStages, .has_encoder = true};
  ASSERT_TRUE(MeasurePipeline(pipeline, SpecOf(2, 512), measured, &SimulatedNow).ok());
  EXPECT_EQ(pipeline.most_rows(), 31);
  EXPECT_EQ(pipeline.num_sources(), 0U);
}

TEST(MeasurePipelineTest, FailsAsTheRunnerDoes) {
  for (const int num_pieces : {0, 4, 8}) {
    SimulatedPipeline pipeline;
    pipeline.FailAfter(num_pieces);
    const auto costs = MeasurePipeline(pipeline, SpecOf(20, 512), {kStages}, &SimulatedNow);
    EXPECT_EQ(costs.status().message(), "rank 1 is gone") << num_pieces;
  }
}

}  // namespace
}  // namespace dray::engine
