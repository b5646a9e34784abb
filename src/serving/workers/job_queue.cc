#include "serving/workers/job_queue.h"

#include "base/check.h"

namespace dray::serving {

void JobQueue::Push(Job job) {
  const Key key = {job.priority, num_pushed_++};
  jobs_.emplace(key, std::move(job));
}

Job JobQueue::Pop() {
  DRAY_CHECK(!jobs_.empty());
  return std::move(jobs_.extract(jobs_.begin()).mapped());
}

std::optional<std::chrono::steady_clock::time_point> JobQueue::oldest() const {
  std::optional<std::chrono::steady_clock::time_point> oldest;
  for (const auto& [key, job] : jobs_) {
    if (!oldest || job.queued_at < *oldest) oldest = job.queued_at;
  }
  return oldest;
}

std::vector<Job> JobQueue::TakeIf(const std::function<bool(const Job&)>& wanted) {
  std::vector<Job> taken;
  for (auto it = jobs_.begin(); it != jobs_.end();) {
    if (!wanted(it->second)) {
      ++it;
      continue;
    }
    taken.push_back(std::move(it->second));
    it = jobs_.erase(it);
  }
  return taken;
}

std::vector<Job> JobQueue::TakeCancelled() {
  return TakeIf([](const Job& job) { return job.generation->cancelled(); });
}

std::vector<Job> JobQueue::TakeAll() {
  return TakeIf([](const Job&) { return true; });
}

}  // namespace dray::serving
