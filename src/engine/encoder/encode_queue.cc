#include "engine/encoder/encode_queue.h"

#include <algorithm>
#include <utility>

namespace dray::engine {

std::vector<EncodeQueue::Place> EncodeQueue::TakePass() {
  std::vector<Place> places;
  int64_t tokens = 0;
  // Ends at the first text that does not fit: to look for a smaller one behind it would let small
  // texts pass a large one again and again.
  while (!jobs_.empty() && static_cast<int64_t>(places.size()) < max_texts_) {
    const std::shared_ptr<EncodeJob>& job = jobs_.front();
    Place place = {job, job->num_taken};
    tokens += static_cast<int64_t>(place.text().ids.size());
    if (tokens > max_tokens_) break;
    ++job->num_taken;
    if (place.is_last()) {
      jobs_.pop_front();
    } else {
      jobs_.splice(jobs_.end(), jobs_, jobs_.begin());
    }
    places.push_back(std::move(place));
  }
  return places;
}

void EncodeQueue::PutBack(const std::shared_ptr<EncodeJob>& job, size_t text_idx) {
  job->num_taken = text_idx;
  std::erase(jobs_, job);
  jobs_.push_front(job);
}

std::shared_ptr<EncodeJob> EncodeQueue::Remove(RequestId id) {
  const auto it =
      std::find_if(jobs_.begin(), jobs_.end(), [&](const auto& job) { return job->id == id; });
  if (it == jobs_.end()) return nullptr;
  std::shared_ptr<EncodeJob> job = *it;
  jobs_.erase(it);
  return job;
}

std::list<std::shared_ptr<EncodeJob>> EncodeQueue::RemoveAll() { return std::exchange(jobs_, {}); }

}  // namespace dray::engine
