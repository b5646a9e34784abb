// Shared by the engine's tests: a golden model in memory, and a sink that records all events.
#pragma once

#include <gtest/gtest.h>

#include <atomic>
#include <condition_variable>
#include <map>
#include <memory>
#include <mutex>
#include <string>
#include <vector>

#include "engine/engine.h"
#include "engine/runner/loaded_model.h"
#include "testing/golden_model.h"

namespace dray::engine {

// `num_threads` are those of all ranks together; there are `num_ranks` in each stage.
inline std::unique_ptr<LoadedModel> LoadGolden(const testing::GoldenModel& golden,
                                               int num_threads = 1, int64_t num_ranks = 1,
                                               int64_t num_stages = 1) {
  auto model =
      LoadModel({.model_dir = golden.dir,
                 .format = kernels::WeightFormat::kF32,
                 .tensor_parallel_degree = num_ranks,
                 .pipeline_parallel_degree = num_stages,
                 .backend_options = {.cpu = {.num_threads = num_threads, .oversubscribe = true}}});
  EXPECT_TRUE(model.ok()) << model.status().ToString();
  return model.ok() ? std::move(*model) : nullptr;
}

// Records a request's events. May be read while events still arrive.
class RecordingSink : public EventSink {
 public:
  void OnEvent(Event event) override {
    const std::lock_guard lock(mutex_);
    EXPECT_EQ(num_ends_, 0) << "an event after the last one";
    if (auto* token = std::get_if<TokenEvent>(&event))
      tokens_[token->sequence_idx].push_back(std::move(*token));
    if (auto* prompt = std::get_if<PromptEvent>(&event)) prompts_.push_back(std::move(*prompt));
    if (auto* end = std::get_if<SequenceEndEvent>(&event))
      reasons_[end->sequence_idx] = end->reason;
    if (auto* end = std::get_if<RequestEndEvent>(&event)) {
      status_ = end->status;
      ++num_ends_;
    }
    changed_.notify_all();
  }

  Status WaitForEnd() {
    std::unique_lock lock(mutex_);
    changed_.wait(lock, [&] { return num_ends_ > 0; });
    return status_;
  }
  void WaitForTokens(size_t count) {
    std::unique_lock lock(mutex_);
    changed_.wait(lock, [&] { return num_ends_ > 0 || tokens_[0].size() >= count; });
  }

  std::vector<int32_t> Ids(int sequence_idx = 0) {
    const std::lock_guard lock(mutex_);
    std::vector<int32_t> ids;
    for (const TokenEvent& token : tokens_[sequence_idx]) ids.push_back(token.token.id);
    return ids;
  }
  std::vector<TokenEvent> Tokens(int sequence_idx = 0) {
    const std::lock_guard lock(mutex_);
    return tokens_[sequence_idx];
  }
  std::vector<PromptEvent> Prompts() {
    const std::lock_guard lock(mutex_);
    return prompts_;
  }
  std::map<int, sampling::FinishReason> Reasons() {
    const std::lock_guard lock(mutex_);
    return reasons_;
  }
  int num_ends() {
    const std::lock_guard lock(mutex_);
    return num_ends_;
  }
  Status status() {
    const std::lock_guard lock(mutex_);
    return status_;
  }

 private:
  std::mutex mutex_;
  std::condition_variable changed_;
  std::map<int, std::vector<TokenEvent>> tokens_;
  std::vector<PromptEvent> prompts_;
  std::map<int, sampling::FinishReason> reasons_;
  Status status_;
  int num_ends_ = 0;
};

inline GenerateRequest MakeRequest(const std::vector<int32_t>& prompt, int64_t max_new_tokens) {
  GenerateRequest request;
  request.prompt = prompt;
  request.params.max_new_tokens = max_new_tokens;
  request.params.ignore_eos = true;
  return request;
}

}  // namespace dray::engine
