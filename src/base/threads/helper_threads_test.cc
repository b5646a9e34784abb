#include "base/threads/helper_threads.h"

#include <gtest/gtest.h>
#include <pthread.h>
#include <sched.h>

#include <atomic>
#include <string>
#include <vector>

#include "base/machine/cpu_info.h"
#include "base/testing/scarce_threads.h"
#include "base/threads/worker_set.h"

namespace dray {
namespace {

TEST(HelperThreadsTest, JoinWaitsForAll) {
  std::atomic<int> done{0};
  HelperThreads threads;
  for (int i = 0; i < 5; ++i) ASSERT_TRUE(threads.Start("to count", [&] { ++done; }).ok());
  threads.Join();
  EXPECT_EQ(done, 5);
  ASSERT_TRUE(threads.Start("to count", [&] { ++done; }).ok());
  threads.Join();
  EXPECT_EQ(done, 6);
}

TEST(HelperThreadsTest, TheyAreNotBoundAsTheirCallerIs) {
  const std::vector<int> all = AllowedCpus();
  std::vector<int> with_list, without;
  HelperThreads caller;
  ASSERT_TRUE(caller
                  .Start("to call",
                         [&] {
                           BindThread(::pthread_self(), {all.front()});
                           std::atomic<bool> is_bound{false};
                           HelperThreads helpers;
                           const auto look = [&](std::vector<int>& cpus) {
                             is_bound.wait(false);
                             cpus = AllowedCpus();
                           };
                           EXPECT_TRUE(helpers
                                           .Start(
                                               "to look", [&] { look(with_list); }, all)
                                           .ok());
                           EXPECT_TRUE(helpers.Start("to look", [&] { look(without); }).ok());
                           is_bound = true;
                           is_bound.notify_all();
                         })
                  .ok());
  caller.Join();
  EXPECT_EQ(with_list, all);
  EXPECT_EQ(without, std::vector<int>{all.front()});
}

TEST(HelperThreadsTest, ASystemWithoutThreadsIsAnError) {
  std::atomic<bool> ends{false};
  HelperThreads threads;
  int started = 0;
  Status status;
  {
    const ScarceThreads scarce(2);
    while (status.ok() && started < 100) {
      status = threads.Start("to wait", [&] { ends.wait(false); });
      started += status.ok() ? 1 : 0;
    }
  }
  EXPECT_EQ(started, 2);
  EXPECT_EQ(status.code(), StatusCode::kResourceExhausted);
  EXPECT_NE(status.message().find("thread 3 that helps to wait"), std::string::npos)
      << status.message();
  EXPECT_NE(status.message().find("pids.max"), std::string::npos) << status.message();
  ends = true;
  ends.notify_all();
  threads.Join();
  EXPECT_TRUE(threads.Start("to end", [] {}).ok()) << "once there are threads again";
}

}  // namespace
}  // namespace dray
