// The accepted requests of a model that no worker has taken yet: those of the lowest priority number
// first, among equals those that came first.
//
// Not thread-safe.
#pragma once

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <utility>
#include <vector>

#include "engine/engine.h"
#include "serving/generation.h"

namespace dray::serving {

struct Job {
  int64_t priority = 0;
  engine::GenerateRequest request;
  std::shared_ptr<Generation> generation;
  std::chrono::steady_clock::time_point queued_at = std::chrono::steady_clock::now();
};

class JobQueue {
 public:
  void Push(Job job);
  // The queue must not be empty.
  Job Pop();

  bool empty() const { return jobs_.empty(); }
  int64_t size() const { return static_cast<int64_t>(jobs_.size()); }
  // When the job came that has waited longest; nothing if the queue is empty.
  std::optional<std::chrono::steady_clock::time_point> oldest() const;

  // Takes the jobs out whose requests were cancelled, or all jobs.
  std::vector<Job> TakeCancelled();
  std::vector<Job> TakeAll();

 private:
  using Key = std::pair<int64_t, uint64_t>;  // the priority, and the number of jobs before it
  std::vector<Job> TakeIf(const std::function<bool(const Job&)>& wanted);

  std::map<Key, Job> jobs_;
  uint64_t num_pushed_ = 0;
};

}  // namespace dray::serving
