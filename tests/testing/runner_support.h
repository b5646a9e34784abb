// Shared by the tests of runners: small steps, and a backend that fails on demand.
#pragma once

#include <gtest/gtest.h>

#include <memory>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "engine/engine_core.h"
#include "engine/runner/model_runner.h"
#include "testing/engine_support.h"

namespace dray::engine {

inline constexpr int64_t kBlockSize = 16;

inline RunnerSpec SmallSpec() {
  return {
      .cache = {.num_blocks = 8, .block_size = kBlockSize, .dtype = DType::kF32},
      .step = {
          .max_batch_tokens = 64, .max_sequences = 2, .max_logit_rows = 3, .max_table_entries = 8}};
}

inline std::vector<int32_t> Numbers(int64_t count) {
  std::vector<int32_t> numbers;
  for (int32_t i = 0; i < count; ++i) numbers.push_back(i * 7 % 250);
  return numbers;
}

// A step over the first `num_tokens` tokens of a sequence, with the logits of the last `num_rows`.
inline RunnerStep StepOver(const std::vector<int32_t>& tokens, int64_t num_tokens,
                           int64_t num_rows) {
  static const std::vector<BlockId> kBlocks = {BlockId(3), BlockId(1)};
  RunnerStep step;
  step.AppendRows({.num_rows = num_tokens,
                   .num_prompt_tokens = num_tokens,
                   .known = tokens,
                   .block_table = kBlocks},
                  kBlockSize);
  for (int64_t i = num_tokens - num_rows; i < num_tokens; ++i) {
    step.logit_rows.push_back(static_cast<int32_t>(i));
  }
  return step;
}

// Runs a step to its end, or to its first failure, and returns its last piece.
inline StepPiece RunToEnd(ModelRunner& runner, const RunnerStep& step,
                          std::vector<float>* logits = nullptr) {
  runner.Submit(step);
  StepPiece piece;
  while (!piece.is_last) {
    piece = runner.Collect();
    if (logits != nullptr) logits->insert(logits->end(), piece.logits.begin(), piece.logits.end());
  }
  return piece;
}

// Tokens and log-probabilities of requests, computed together or one after the other.
inline std::vector<std::vector<float>> LogProbs(LoadedModel& model,
                                                const testing::GoldenModel& golden,
                                                const EngineOptions& options, EngineStats& stats,
                                                std::unique_ptr<Drafter> drafter = nullptr) {
  auto core = EngineCore::Make(model, options, std::move(drafter));
  EXPECT_TRUE(core.ok()) << core.status().ToString();
  std::vector<std::shared_ptr<RecordingSink>> sinks;
  for (size_t i = 0; i < golden.prompts.size(); ++i) {
    GenerateRequest request = MakeRequest(golden.prompts[i].ids, 24);
    request.params.num_logprobs = 1;
    request.params.do_sample = i % 2 == 1;
    request.params.seed = i;
    request.params.n = i % 3 == 2 ? 2 : 1;
    sinks.push_back(std::make_shared<RecordingSink>());
    (*core)->Add(RequestId(i + 1), std::move(request), sinks.back());
    if (options.max_sequences > 2) continue;
    while ((*core)->Step()) {
    }
  }
  while ((*core)->Step()) {
  }
  stats = (*core)->stats();
  std::vector<std::vector<float>> values;
  for (const auto& sink : sinks) {
    EXPECT_TRUE(sink->status().ok()) << sink->status().ToString();
    for (const int sequence : {0, 1}) {
      values.emplace_back();
      for (const TokenEvent& token : sink->Tokens(sequence)) {
        values.back().push_back(static_cast<float>(token.token.id));
        values.back().push_back(token.token.logprob);
      }
    }
  }
  return values;
}

// A rank's memory, and how many more copies to it succeed.
class FailingMemory final : public kernels::Memory {
 public:
  explicit FailingMemory(kernels::Memory& inner) : inner_(inner) {}

  Allocator& allocator() override { return inner_.allocator(); }
  Status CopyFromHost(void* device_dst, const void* host_src, size_t bytes) override {
    if (num_left >= 0 && num_left-- == 0) return {StatusCode::kResourceExhausted, "it is lost"};
    return inner_.CopyFromHost(device_dst, host_src, bytes);
  }
  Status CopyToHost(void* host_dst, const void* device_src, size_t bytes) override {
    return inner_.CopyToHost(host_dst, device_src, bytes);
  }

  int64_t num_left = -1;  // below 0: all of them

 private:
  kernels::Memory& inner_;
};

// Computes by another backend until its memory fails, or until its steps end with an error.
class FailingBackend final : public kernels::Backend {
 public:
  explicit FailingBackend(std::shared_ptr<kernels::Backend> inner)
      : failing_memory(inner->memory()), inner_(std::move(inner)) {}

  kernels::Memory& memory() override { return failing_memory; }
  kernels::Packer& packer() override { return inner_->packer(); }
  kernels::Ops& ops() override { return inner_->ops(); }
  void BeginStep(int64_t num_tokens) override { inner_->BeginStep(num_tokens); }
  Status EndStep() override {
    DRAY_RETURN_IF_ERROR(inner_->EndStep());
    return end_error;
  }
  void AdoptThread() override { inner_->AdoptThread(); }
  std::string Describe() const override { return inner_->Describe(); }
  std::string_view isa() const override { return inner_->isa(); }

  FailingMemory failing_memory;
  Status end_error;

 private:
  std::shared_ptr<kernels::Backend> inner_;
};

}  // namespace dray::engine
