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
    for (int i = 0; i < std::max(1, num_threads); ++i) threads_.emplace_back([this] { Run(); });
  } catch (const std::system_error&) {
    // Those that have started must end before the error goes on.
    Stop();
    throw;
  }
}

TaskQueue::~TaskQueue() { Stop(); }

void TaskQueue::Stop() {
  {
    const std::lock_guard lock(mutex_);
    stop_ = true;
  }
  ready_.notify_all();
  for (std::thread& thread : threads_) thread.join();
}

void TaskQueue::Add(std::function<void()> task) {
  {
    const std::lock_guard lock(mutex_);
    tasks_.push_back(std::move(task));
  }
  ready_.notify_one();
}

void TaskQueue::Run() {
  std::unique_lock lock(mutex_);
  while (true) {
    ready_.wait(lock, [this] { return stop_ || !tasks_.empty(); });
    if (stop_) return;
    const auto task = std::move(tasks_.front());
    tasks_.pop_front();
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
