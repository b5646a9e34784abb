// Which tasks wait for which others. Tasks wait here for what the test does, never for a time.
#include "api/task_queue.h"

#include <gtest/gtest.h>

#include <atomic>
#include <functional>
#include <future>
#include <memory>
#include <stdexcept>
#include <thread>

namespace dray::api {
namespace {

// Runs `task` in the queue and waits for its end.
void AddAndWait(
    TaskQueue& queue, TaskSize size, const std::function<void()>& task = [] {}) {
  const auto done = std::make_shared<std::promise<void>>();
  queue.Add(size, [done, task] {
    task();
    done->set_value();
  });
  done->get_future().wait();
}

TEST(TaskQueueTest, SmallTasksDoNotWaitForLargeOnes) {
  for (const int num_threads : {0, 1, 2, 3, 8}) {
    std::promise<void> gate;
    const std::shared_future<void> opened = gate.get_future().share();
    std::atomic<int> num_large{0};
    TaskQueue queue(num_threads);
    for (int i = 0; i < 20; ++i) {
      queue.Add(TaskSize::kLarge, [&num_large, opened] {
        opened.wait();
        ++num_large;
      });
    }
    for (int i = 0; i < 20; ++i) AddAndWait(queue, TaskSize::kSmall);
    EXPECT_EQ(num_large, 0);
    gate.set_value();
    AddAndWait(queue, TaskSize::kLarge);
    // The last one came after all others were taken; those that other threads took may not be over.
    EXPECT_GT(num_large, 20 - TaskQueue::NumLargeAtOnce(num_threads));
  }
}

TEST(TaskQueueTest, NoMoreLargeTasksRunAtOnceThanAnnounced) {
  constexpr int kThreads = 3;
  std::atomic<int> running{0};
  std::atomic<int> most{0};
  TaskQueue queue(kThreads);
  for (int i = 0; i < 50; ++i) {
    queue.Add(TaskSize::kLarge, [&] {
      const int now = ++running;
      int seen = most;
      while (now > seen && !most.compare_exchange_weak(seen, now)) {
      }
      --running;
    });
  }
  AddAndWait(queue, TaskSize::kLarge);
  EXPECT_LE(most, TaskQueue::NumLargeAtOnce(kThreads));
  EXPECT_EQ(TaskQueue::NumLargeAtOnce(kThreads), 2);
}

TEST(TaskQueueTest, ATaskThatThrowsEndsNoThread) {
  TaskQueue queue(1);
  for (const TaskSize size : {TaskSize::kSmall, TaskSize::kLarge}) {
    queue.Add(size, [] { throw std::runtime_error("a test's"); });
    queue.Add(size, [] { throw 7; });
    AddAndWait(queue, size);
  }
}

TEST(TaskQueueTest, ATinyTaskRunsAtOnceIfThereIsNoOther) {
  const auto caller = std::this_thread::get_id();
  std::promise<void> gate;
  std::thread::id ran_on;
  TaskQueue queue(2);
  queue.Add(TaskSize::kTiny, [&] { ran_on = std::this_thread::get_id(); });
  EXPECT_EQ(ran_on, caller);
  queue.Add(TaskSize::kTiny, [] { throw std::runtime_error("a test's"); });
  queue.Add(TaskSize::kLarge, [opened = gate.get_future().share()] { opened.wait(); });
  AddAndWait(queue, TaskSize::kTiny, [&] { ran_on = std::this_thread::get_id(); });
  EXPECT_NE(ran_on, caller);
  gate.set_value();
}

// Otherwise a tiny task that adds another one would not leave the caller.
TEST(TaskQueueTest, ATinyTaskOfATinyTaskRunsLater) {
  std::thread::id ran_on;
  std::promise<void> done;
  TaskQueue queue(2);
  queue.Add(TaskSize::kTiny, [&] {
    queue.Add(TaskSize::kTiny, [&] {
      ran_on = std::this_thread::get_id();
      done.set_value();
    });
  });
  done.get_future().wait();
  EXPECT_NE(ran_on, std::this_thread::get_id());
}

TEST(TaskQueueTest, ABodysSizeIsThatOfItsTask) {
  EXPECT_EQ(TaskSizeOf(0), TaskSize::kTiny);
  EXPECT_EQ(TaskSizeOf(1024), TaskSize::kTiny);
  EXPECT_EQ(TaskSizeOf(1025), TaskSize::kSmall);
  EXPECT_EQ(TaskSizeOf(65536), TaskSize::kSmall);
  EXPECT_EQ(TaskSizeOf(65537), TaskSize::kLarge);
}

TEST(TaskQueueTest, DropsWhatIsAddedAfterItsStop) {
  const auto used = std::make_shared<int>(0);
  TaskQueue queue(2);
  queue.Stop();
  queue.Add(TaskSize::kSmall, [used] { ++*used; });
  EXPECT_EQ(used.use_count(), 1);
  EXPECT_EQ(*used, 0);
}

}  // namespace
}  // namespace dray::api
