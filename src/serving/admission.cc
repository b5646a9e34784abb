#include "serving/admission.h"

namespace dray::serving {

void Admission::Ticket::Leave() {
  if (state_ == nullptr) return;
  {
    const std::lock_guard lock(state_->mutex);
    --state_->count;
  }
  state_->left.notify_all();
  state_.reset();
}

Admission::Admission(int64_t max_requests) : state_(std::make_shared<State>()) {
  state_->max_requests = max_requests;
}

int64_t Admission::max_requests() const {
  const std::lock_guard lock(state_->mutex);
  return state_->max_requests;
}

void Admission::SetMaxRequests(int64_t max_requests) {
  const std::lock_guard lock(state_->mutex);
  state_->max_requests = max_requests;
}

std::optional<Admission::Refusal> Admission::State::RefusalLocked() const {
  if (draining) return Refusal::kDraining;
  if (count >= max_requests) return Refusal::kFull;
  return std::nullopt;
}

std::optional<Admission::Refusal> Admission::RefusalNow() const {
  const std::lock_guard lock(state_->mutex);
  return state_->RefusalLocked();
}

std::variant<Admission::Ticket, Admission::Refusal> Admission::Enter() {
  const std::lock_guard lock(state_->mutex);
  if (const auto refusal = state_->RefusalLocked()) return *refusal;
  ++state_->count;
  return Ticket(state_);
}

void Admission::BeginDrain() {
  const std::lock_guard lock(state_->mutex);
  state_->draining = true;
}

bool Admission::draining() const {
  const std::lock_guard lock(state_->mutex);
  return state_->draining;
}

int64_t Admission::count() const {
  const std::lock_guard lock(state_->mutex);
  return state_->count;
}

bool Admission::WaitUntilEmpty(std::chrono::steady_clock::time_point deadline) const {
  std::unique_lock lock(state_->mutex);
  return state_->left.wait_until(lock, deadline, [this] { return state_->count == 0; });
}

}  // namespace dray::serving
