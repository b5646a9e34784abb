// For tests: an engine that needs no model, and a codec whose tokens are bytes.
#pragma once

#include <atomic>
#include <chrono>
#include <functional>
#include <map>
#include <memory>
#include <mutex>
#include <string>
#include <thread>
#include <vector>

#include "engine/engine.h"
#include "serving/text_codec.h"

namespace dray::serving {

// Token ids 0 to 255 are bytes; 256 is the end token, "<end>", special.
class ByteCodec final : public TextCodec {
 public:
  static constexpr int32_t kEnd = 256;
  static constexpr int64_t kVocabSize = 257;

  Result<std::vector<int32_t>> EncodePrompt(std::string_view text,
                                            const CancelCheck& is_cancelled) const override;
  Result<std::vector<int32_t>> EncodePlain(std::string_view text) const override;
  std::string TokenText(int32_t id) const override;
  bool IsSpecial(int32_t id) const override { return id == kEnd; }
  std::unique_ptr<TextStream> NewStream(SpecialTokens special_tokens,
                                        std::span<const int32_t> prompt) const override;
  size_t max_token_bytes() const override { return 1; }
};

// Generates, on a thread of its own, what `next_token` says, one token a step for every sequence.
class FakeEngine final : public engine::Engine {
 public:
  struct Options {
    std::chrono::microseconds step{200};
    int64_t max_context_tokens = 64;
    // Refuses further requests with kUnavailable.
    int64_t max_requests = 100'000;
    // Sequences of beam search end with the scores -1.5, -2.5, ...
    // By default the prompt's first byte, then its second, ..., then the end token.
    std::function<int32_t(const engine::GenerateRequest& request, int sequence_idx, int64_t step)>
        next_token;
    // Not ok: each request ends with this error after so many tokens.
    Status failure;
    int64_t failure_after = 0;
  };
  explicit FakeEngine(Options options);
  ~FakeEngine() override;

  Result<RequestId> Submit(engine::GenerateRequest request,
                           std::shared_ptr<engine::EventSink> sink) override;
  void Cancel(RequestId id) override;
  engine::EngineLimits limits() const override;
  engine::EngineStats stats() const override;
  bool healthy() const override { return healthy_; }

  // While paused nothing happens but cancellations.
  void Pause() { paused_ = true; }
  void Resume() { paused_ = false; }
  void Die() { healthy_ = false; }
  // As if the engine replaced a failed runner.
  void SetRestarting(bool restarting) { restarting_ = restarting; }

  int64_t num_submitted() const { return num_submitted_; }
  int64_t num_cancelled() const { return num_cancelled_; }
  int64_t num_live() const;
  engine::GenerateRequest last_request() const;

 private:
  struct Request {
    engine::GenerateRequest request;
    std::shared_ptr<engine::EventSink> sink;
    int64_t step = 0;
    std::vector<bool> ended;
    std::atomic<bool> cancelled{false};
  };
  void Run();
  // True if the request is over; its last event has been sent.
  bool Step(Request& request);
  void StepSequence(Request& request, int sequence_idx);

  const Options options_;
  mutable std::mutex mutex_;
  std::map<RequestId, std::shared_ptr<Request>> requests_;
  engine::GenerateRequest last_request_;
  uint64_t last_id_ = 0;
  std::atomic<int64_t> num_submitted_{0};
  std::atomic<int64_t> num_cancelled_{0};
  std::atomic<bool> paused_{false};
  std::atomic<bool> healthy_{true};
  std::atomic<bool> restarting_{false};
  std::atomic<bool> stop_{false};
  std::thread thread_;
};

}  // namespace dray::serving
