// A few threads that read and tokenize requests, so that a large one never keeps the server's
// own threads from answering /ping. One of them takes small tasks only, so that no number of large ones keeps
// a small one waiting. There is at most one task for each connection, which bounds the queue.
#pragma once

#include <condition_variable>
#include <cstddef>
#include <deque>
#include <functional>
#include <mutex>
#include <thread>
#include <vector>

namespace dray::api {

// Whether a task takes a millisecond at most, some milliseconds, or may take longer.
enum class TaskSize { kTiny, kSmall, kLarge };

// The size of the task that reads a body of so many bytes and tokenizes its text.
TaskSize TaskSizeOf(size_t body_bytes);

class TaskQueue {
 public:
  // Two threads at least. std::system_error if the system gives no more threads.
  explicit TaskQueue(int num_threads);
  TaskQueue(const TaskQueue&) = delete;
  TaskQueue& operator=(const TaskQueue&) = delete;
  ~TaskQueue() { Stop(); }

  // Runs `task` soon, on one of the threads. A tiny one runs before this returns if no other task is being worked on:
  // to wake a thread would take longer. What a task throws is logged.
  void Add(TaskSize size, std::function<void()> task);
  // Finishes the task that each thread is at, and drops the others and those that are added later.
  void Stop();
  // How many large tasks may run at a time.
  static int NumLargeAtOnce(int num_threads);

 private:
  enum class Takes { kSmall, kAll };
  // The threads of one kind that sleep. Exactly one is woken for each task, so that the others cost nothing.
  struct Sleepers {
    std::condition_variable wake;
    int num_asleep = 0;
    int num_woken = 0;  // of those, which have been told to wake and have not yet
    bool any_left() const { return num_asleep > num_woken; }
  };
  // False, without running it, if another task is being worked on, or after Stop.
  bool RunHere(const std::function<void()>& task);
  void Run(Takes takes);
  void Sleep(Takes takes, std::unique_lock<std::mutex>& lock);
  bool HasTask(Takes takes) const;
  // The next task, removed from its queue. There must be one.
  std::function<void()> Take(Takes takes);

  std::mutex mutex_;
  Sleepers take_small_;
  Sleepers take_all_;
  std::deque<std::function<void()>> small_;
  std::deque<std::function<void()>> large_;
  int num_running_ = 0;  // tasks, also those that Add runs
  bool stop_ = false;
  std::vector<std::thread> threads_;
};

}  // namespace dray::api
