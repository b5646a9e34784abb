#include "serving/metrics/model_metrics.h"

namespace dray::serving {
namespace {

double Seconds(RequestClock::Clock::duration duration) {
  return std::chrono::duration<double>(duration).count();
}

}  // namespace

void RequestClock::OnStart(Clock::time_point now) {
  if (metrics_ == nullptr || start_) return;
  start_ = now;
  metrics_->queue_time.Observe(Seconds(now - arrival_));
}

void RequestClock::OnToken(Clock::time_point now, Clock::time_point& last) {
  if (metrics_ == nullptr) return;
  if (!first_token_) {
    first_token_ = now;
    metrics_->time_to_first_token.Observe(Seconds(now - arrival_));
    if (start_) metrics_->prefill_time.Observe(Seconds(now - *start_));
  }
  if (last != Clock::time_point()) metrics_->time_between_tokens.Observe(Seconds(now - last));
  last = last_token_ = now;
  ++num_tokens_;
}

void RequestClock::OnEnd(RequestOutcome outcome) {
  if (metrics_ == nullptr || ended_) return;
  ended_ = true;
  ++metrics_->ended.at(static_cast<size_t>(outcome));
  metrics_->request_time.Observe(Seconds(Clock::now() - arrival_));
  metrics_->prompt_tokens.Observe(static_cast<double>(num_prompt_tokens_));
  metrics_->generated_tokens.Observe(static_cast<double>(num_tokens_));
  if (start_ && last_token_ > *start_) {
    metrics_->tokens_per_second.Observe(static_cast<double>(num_tokens_) /
                                        Seconds(last_token_ - *start_));
  }
  if (first_token_) metrics_->decode_time.Observe(Seconds(last_token_ - *first_token_));
}

}  // namespace dray::serving
