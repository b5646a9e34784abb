// The costs of a pass for one small model, compared with sums by hand.
#include <gtest/gtest.h>

#include "bench/model_cost.h"
#include "bench/model_run.h"
#include "testing/engine_support.h"
#include "testing/golden_model.h"

namespace dray::bench {
namespace {

// Multiply-and-adds of all projections for one token in a LLaMA-shaped layer.
double LayerProducts(const model::StackConfig& stack) {
  const auto hidden = static_cast<double>(stack.hidden);
  return hidden * static_cast<double>(stack.qkv_width()) +
         static_cast<double>(stack.query_width()) * hidden +
         3 * hidden * static_cast<double>(stack.ffn);
}

TEST(ModelCostTest, PromptAndStepByHand) {
  const auto model = engine::LoadGolden(testing::ReadGoldenModel("llama-gqa"));
  ASSERT_NE(model, nullptr);
  const model::ModelConfig& config = model->description.config;
  ASSERT_TRUE(config.stack.gated);
  const auto layers = static_cast<double>(config.stack.num_layers);
  const double head =
      static_cast<double>(config.vocab_size) * static_cast<double>(config.stack.hidden);
  constexpr double kTokenBytes = 96;

  const PassCost prompt = CostOf(*model, {.sequences = 1, .rows = 10, .context = 10}, kTokenBytes);
  EXPECT_DOUBLE_EQ(prompt.f32, 10 * layers * LayerProducts(config.stack) + head);
  // The mask is causal: 1 + 2 + ... + 10 pairs in each layer, once for scores and once for values.
  EXPECT_DOUBLE_EQ(prompt.bf16, layers * 2 * 55 * static_cast<double>(config.stack.query_width()));

  const PassCost step = CostOf(*model, {.sequences = 3, .rows = 1, .context = 20}, kTokenBytes);
  EXPECT_DOUBLE_EQ(step.f32, 3 * (layers * LayerProducts(config.stack) + head));
  EXPECT_DOUBLE_EQ(step.bf16,
                   layers * 3 * 2 * 20 * static_cast<double>(config.stack.query_width()));
  const PassCost one = CostOf(*model, {.sequences = 1, .rows = 1, .context = 20}, kTokenBytes);
  EXPECT_DOUBLE_EQ(step.bytes - one.bytes, 2 * 20 * kTokenBytes);
  EXPECT_EQ(step.int8, 0);
}

TEST(ModelCostTest, TheFloorIsTheLargerOfBothTimes) {
  const LimitsSample limits = {.read_bandwidth = 100, .f32 = 10, .bf16 = 0, .int8 = 40};
  const Floor memory = FloorOf({.bytes = 1000, .f32 = 50, .bf16 = 0, .int8 = 0}, limits);
  EXPECT_DOUBLE_EQ(memory.seconds, 10);
  EXPECT_EQ(memory.bound, Bound::kMemory);
  // Without bf16 instructions, products of bf16 take as long as those of f32.
  const Floor arithmetic = FloorOf({.bytes = 100, .f32 = 50, .bf16 = 20, .int8 = 80}, limits);
  EXPECT_DOUBLE_EQ(arithmetic.seconds, 5 + 2 + 2);
  EXPECT_EQ(arithmetic.bound, Bound::kArithmetic);
}

TEST(ModelRunTest, CountsTokensAndSteps) {
  const auto model = engine::LoadGolden(testing::ReadGoldenModel("llama-gqa"));
  ASSERT_NE(model, nullptr);
  auto runner = TimedEngine::Make(*model, {}, {3, 8, 5});
  ASSERT_TRUE(runner.ok()) << runner.status().ToString();
  const auto times = runner->Run(1, nullptr);
  ASSERT_TRUE(times.ok()) << times.status().ToString();
  EXPECT_EQ(times->decode_steps.size(), 4u);  // the steps after the first token of all three
  EXPECT_EQ(times->token_times.size(), 5u);
  EXPECT_EQ(times->sequence_times.size(), 3u);
  EXPECT_LE(times->prompt_seconds, times->total_seconds);
  EXPECT_EQ(times->total_seconds, times->token_times.back());
  // One token's keys and values of all layers, in f32.
  const model::ModelConfig& config = model->description.config;
  EXPECT_EQ(runner->kv_token_bytes(),
            static_cast<double>(config.stack.num_layers * config.stack.kv_width() * 2 * 4));

  const auto stopped = runner->Run(1, [] { return true; });
  EXPECT_EQ(stopped.status().code(), StatusCode::kCancelled);
  EXPECT_TRUE(runner->Run(2, nullptr).ok());  // the engine still works

  const auto too_long = TimedEngine::Make(*model, {}, {1, config.stack.max_positions, 1});
  EXPECT_EQ(too_long.status().code(), StatusCode::kInvalidArgument);
  EXPECT_NE(too_long.status().message().find("--input"), std::string::npos);
}

}  // namespace
}  // namespace dray::bench
