#include "serving/encoder/encoding.h"

#include <numeric>
#include <utility>

namespace dray::serving {

Encoding::Encoding(Setup setup)
    : setup_(std::move(setup)),
      clock_(setup_.metrics,
             std::accumulate(setup_.num_tokens.begin(), setup_.num_tokens.end(), int64_t{0})) {
  answer_.num_tokens = setup_.num_tokens;
  answer_.numbers.resize(setup_.num_tokens.size());
}

void Encoding::OnText(size_t text_idx, std::vector<float> numbers) {
  answer_.numbers.at(text_idx) = std::move(numbers);
}

void Encoding::OnEnd(const Status& status) {
  Reason reason = status;
  {
    // From here on Cancel does nothing, so the engine may be destroyed.
    const std::lock_guard lock(mutex_);
    over_ = true;
    if (status.code() == StatusCode::kCancelled && cancel_reason_) reason = *cancel_reason_;
  }
  setup_.ticket = {};
  clock_.OnEnd(status.ok() ? RequestOutcome::kStop : OutcomeOf(reason));
  const auto receiver = std::exchange(setup_.receiver, nullptr);
  if (status.ok()) return receiver->OnAnswer(std::move(answer_));
  receiver->OnAnswer(std::move(reason));
}

void Encoding::SetStarted(engine::EncoderEngine& engine, RequestId id) {
  const std::lock_guard lock(mutex_);
  if (over_) return;
  engine_ = &engine;
  id_ = id;
  if (cancel_reason_) engine.Cancel(id);
}

void Encoding::Cancel(Reason reason) {
  // The engine cannot be destroyed while this lock is held: its last event for this request needs
  // the lock.
  const std::lock_guard lock(mutex_);
  if (over_ || cancel_reason_) return;
  cancel_reason_ = std::move(reason);
  if (engine_ != nullptr) engine_->Cancel(id_);
}

void Encoding::CancelIfLate(Clock::time_point now, std::chrono::milliseconds first_limit,
                            std::chrono::milliseconds) {
  if (over_ || now - arrival_ < first_limit) return;
  Cancel(TimedOut{first_limit});
}

}  // namespace dray::serving
