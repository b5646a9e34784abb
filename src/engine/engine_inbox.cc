#include "engine/engine_inbox.h"

#include <utility>

namespace dray::engine {

Result<RequestId> EngineInbox::Submit(GenerateRequest request, std::shared_ptr<EventSink> sink) {
  RequestId id(0);
  {
    const std::lock_guard lock(mutex_);
    if (arrived_.stopping) return Status(StatusCode::kUnavailable, "the server is shutting down");
    if (!health_.ok()) return health_;
    id = RequestId(next_request_id_++);
    arrived_.submissions.push_back({id, std::move(request), std::move(sink)});
  }
  wake_.notify_one();
  return id;
}

void EngineInbox::Cancel(RequestId id) {
  {
    const std::lock_guard lock(mutex_);
    arrived_.cancellations.push_back(id);
  }
  wake_.notify_one();
}

void EngineInbox::Stop() {
  {
    const std::lock_guard lock(mutex_);
    arrived_.stopping = true;
  }
  wake_.notify_one();
}

void EngineInbox::Wake() {
  // The engine's thread holds the mutex from its look at the condition until it sleeps.
  { const std::lock_guard lock(mutex_); }
  wake_.notify_one();
}

EngineStats EngineInbox::stats() const {
  const std::lock_guard lock(mutex_);
  return stats_;
}

bool EngineInbox::healthy() const {
  const std::lock_guard lock(mutex_);
  return health_.ok();
}

void EngineInbox::Publish(const EngineStats& stats, const Status& health) {
  const std::lock_guard lock(mutex_);
  stats_ = stats;
  health_ = health;
}

void EngineInbox::Take(Contents& contents, TimePoint until, const std::function<bool()>& is_due) {
  contents.submissions.clear();
  contents.cancellations.clear();
  std::unique_lock lock(mutex_);
  const auto must_go_on = [&] {
    return arrived_.stopping || !arrived_.submissions.empty() || !arrived_.cancellations.empty() ||
           is_due();
  };
  if (until == TimePoint::max()) {
    wake_.wait(lock, must_go_on);
  } else if (until != TimePoint::min()) {
    wake_.wait_until(lock, until, must_go_on);
  }
  std::swap(contents.submissions, arrived_.submissions);
  std::swap(contents.cancellations, arrived_.cancellations);
  contents.stopping = arrived_.stopping;
}

}  // namespace dray::engine
