#include "api/task_queue.h"

#include <algorithm>
#include <exception>
#include <string>
#include <system_error>
#include <utility>

#include "base/log.h"
#include "http/body_budget.h"

namespace dray::api {
namespace {

void RunContained(const std::function<void()>& task) {
  try {
    task();
  } catch (const std::exception& error) {
    LogError(std::string("a request threw: ") + error.what());
  } catch (...) {
    LogError("a request threw something that is no exception");
  }
}

}  // namespace

TaskSize TaskSizeOf(size_t body_bytes) {
  // 64 KiB are read and tokenized in 10 or 20 ms, 1 KiB in 0.3 ms.
  constexpr size_t kMaxTinyBytes = 1024;
  if (body_bytes <= kMaxTinyBytes) return TaskSize::kTiny;
  return body_bytes <= http::kMaxSmallBodyBytes ? TaskSize::kSmall : TaskSize::kLarge;
}

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
  take_small_.wake.notify_all();
  take_all_.wake.notify_all();
  for (std::thread& thread : threads_) thread.join();
  threads_.clear();
}

int TaskQueue::NumLargeAtOnce(int num_threads) { return std::max(1, num_threads - 1); }

void TaskQueue::Add(TaskSize size, std::function<void()> task) {
  if (size == TaskSize::kTiny && RunHere(task)) return;
  Sleepers* sleepers = nullptr;
  {
    const std::lock_guard lock(mutex_);
    if (stop_) return;
    const bool is_small = size != TaskSize::kLarge;
    (is_small ? small_ : large_).push_back(std::move(task));
    sleepers = is_small && take_small_.any_left() ? &take_small_ : &take_all_;
    // If no thread sleeps that may take the task, one takes it when it has finished its own.
    if (!sleepers->any_left()) return;
    ++sleepers->num_woken;
  }
  sleepers->wake.notify_one();
}

bool TaskQueue::RunHere(const std::function<void()>& task) {
  {
    const std::lock_guard lock(mutex_);
    if (stop_ || num_running_ > 0 || HasTask(Takes::kAll)) return false;
    ++num_running_;
  }
  RunContained(task);
  const std::lock_guard lock(mutex_);
  --num_running_;
  return true;
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

// Until Add has woken a thread of this kind, or Stop all of them.
void TaskQueue::Sleep(Takes takes, std::unique_lock<std::mutex>& lock) {
  Sleepers& sleepers = takes == Takes::kSmall ? take_small_ : take_all_;
  ++sleepers.num_asleep;
  sleepers.wake.wait(lock, [&] { return stop_ || sleepers.num_woken > 0; });
  --sleepers.num_asleep;
  sleepers.num_woken = std::max(0, sleepers.num_woken - 1);
}

void TaskQueue::Run(Takes takes) {
  std::unique_lock lock(mutex_);
  while (true) {
    while (!stop_ && !HasTask(takes)) Sleep(takes, lock);
    if (stop_) return;
    const std::function<void()> task = Take(takes);
    ++num_running_;
    lock.unlock();
    RunContained(task);
    lock.lock();
    --num_running_;
  }
}

}  // namespace dray::api
