#include "api/task_queue.h"

#include <algorithm>
#include <exception>
#include <string>
#include <system_error>
#include <utility>

#include "base/log.h"

namespace dray::api {

TaskQueue::TaskQueue(int num_threads) {
  try {
    threads_.emplace_back([this] { Run(Takes::kSmall); });
    for (int i = 0; i < NumLargeAtOnce(num_threads); ++i) {
      threads_.emplace_back([this] { Run(Takes::kAll); });
    }
  } catch (const std::system_error&) {
    // Those that have started must end before the error goes on.
    Stop();
    throw;
  }
}

void TaskQueue::Stop() {
  {
    const std::lock_guard lock(mutex_);
    stop_ = true;
  }
  ready_.notify_all();
  for (std::thread& thread : threads_) thread.join();
  threads_.clear();
}

int TaskQueue::NumLargeAtOnce(int num_threads) { return std::max(1, num_threads - 1); }

void TaskQueue::Add(TaskSize size, std::function<void()> task) {
  {
    const std::lock_guard lock(mutex_);
    if (stop_) return;
    (size == TaskSize::kSmall ? small_ : large_).push_back(std::move(task));
  }
  // All of them, for one alone might be the one that may not take it.
  ready_.notify_all();
}

bool TaskQueue::HasTask(Takes takes) const {
  return !small_.empty() || (takes == Takes::kAll && !large_.empty());
}

std::function<void()> TaskQueue::Take(Takes takes) {
  // Large ones first where they may run: small ones have a thread that nothing large delays.
  auto& tasks = takes == Takes::kAll && !large_.empty() ? large_ : small_;
  std::function<void()> task = std::move(tasks.front());
  tasks.pop_front();
  return task;
}

void TaskQueue::Run(Takes takes) {
  std::unique_lock lock(mutex_);
  while (true) {
    ready_.wait(lock, [this, takes] { return stop_ || HasTask(takes); });
    if (stop_) return;
    const std::function<void()> task = Take(takes);
    lock.unlock();
    try {
      task();
    } catch (const std::exception& error) {
      LogError(std::string("a request threw: ") + error.what());
    } catch (...) {
      LogError("a request threw something that is no exception");
    }
    lock.lock();
  }
}

}  // namespace dray::api
