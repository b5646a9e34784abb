// A few threads that read and tokenize requests, so that a large one never keeps the server's
// own threads from answering /ping. There is at most one task for each connection, which
// bounds the queue.
#pragma once

#include <condition_variable>
#include <deque>
#include <functional>
#include <mutex>
#include <thread>
#include <vector>

namespace dray::api {

class TaskQueue {
 public:
  // std::system_error if the system gives no more threads.
  explicit TaskQueue(int num_threads);
  TaskQueue(const TaskQueue&) = delete;
  TaskQueue& operator=(const TaskQueue&) = delete;
  // Finishes the task that each thread is at and drops the others.
  ~TaskQueue();

  // Runs `task` soon, on one of the threads. What it throws is logged.
  void Add(std::function<void()> task);

 private:
  void Run();
  void Stop();

  std::mutex mutex_;
  std::condition_variable ready_;
  std::deque<std::function<void()>> tasks_;
  bool stop_ = false;
  std::vector<std::thread> threads_;
};

}  // namespace dray::api
