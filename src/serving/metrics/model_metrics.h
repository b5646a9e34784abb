// What a model's requests have taken, for monitoring, and the clock of one request that fills it in.
//
// Threads: ModelMetrics any. A RequestClock belongs to one request: OnStart, OnToken and OnEnd are called on
// the engine's thread.
#pragma once

#include <array>
#include <atomic>
#include <chrono>
#include <cstdint>
#include <optional>

#include "base/metrics/histogram.h"
#include "sampling/token_result.h"

namespace dray::serving {

// Upper bounds in seconds, from what a small model takes for a token to what a long answer takes; those of
// vLLM's time to the first token, so that its dashboards fit.
inline constexpr std::array<double, 22> kSecondsBounds = {
    0.001, 0.005, 0.01, 0.02, 0.04, 0.06, 0.08, 0.1, 0.25, 0.5, 0.75,
    1,     2.5,   5,    7.5,  10,   20,   40,   80,  160,  640, 2560};
inline constexpr std::array<double, 16> kTokensBounds = {
    1, 2, 5, 10, 20, 50, 100, 200, 500, 1000, 2000, 5000, 10'000, 20'000, 50'000, 100'000};

// How a request ended. A request that was refused at the door is not counted as ended.
enum class RequestOutcome { kStop, kLength, kCancelled, kTimedOut, kFailed };
inline constexpr size_t kNumRequestOutcomes = 5;

// What it took to load a model, in seconds.
struct LoadTimes {
  double find = 0;   // to find its files, and to unpack an archive
  double load = 0;   // to read its weights and to start its workers
  double total = 0;  // from its registration until it could serve: other loads may come first
};

struct ModelMetrics {
  // All in seconds, and once for each request but the fourth. From its arrival in the queue to its first step;
  Histogram queue_time{kSecondsBounds};
  // to its first token;
  Histogram time_to_first_token{kSecondsBounds};
  // from its first step to its first token;
  Histogram prefill_time{kSecondsBounds};
  // from one token to the next;
  Histogram time_between_tokens{kSecondsBounds};
  // from its first token to its last;
  Histogram decode_time{kSecondsBounds};
  // from its arrival to its end.
  Histogram request_time{kSecondsBounds};
  Histogram prompt_tokens{kTokensBounds};
  // Of all sequences of a request together.
  Histogram generated_tokens{kTokensBounds};
  // Tokens for each second of a request, from its first step to its last token.
  Histogram tokens_per_second{kTokensBounds};
  // [RequestOutcome]
  std::array<std::atomic<uint64_t>, kNumRequestOutcomes> ended{};
  // Because the queue was full.
  std::atomic<uint64_t> refused_queue_full{0};
  // For any other reason.
  std::atomic<uint64_t> refused_other{0};
};

class RequestClock {
 public:
  using Clock = std::chrono::steady_clock;
  // `metrics` may be null and must outlive the clock.
  RequestClock(ModelMetrics* metrics, int64_t num_prompt_tokens)
      : metrics_(metrics), num_prompt_tokens_(num_prompt_tokens), arrival_(Clock::now()) {}

  // The first step with tokens of this request begins.
  void OnStart(Clock::time_point now);
  // `last` is when its sequence had its last token, or the epoch if it had none; it becomes `now`.
  void OnToken(Clock::time_point now, Clock::time_point& last);
  // Counts once.
  void OnEnd(RequestOutcome outcome);

 private:
  ModelMetrics* const metrics_;
  const int64_t num_prompt_tokens_;
  const Clock::time_point arrival_;
  std::optional<Clock::time_point> start_;
  std::optional<Clock::time_point> first_token_;
  Clock::time_point last_token_;
  int64_t num_tokens_ = 0;
  bool ended_ = false;
};

}  // namespace dray::serving
