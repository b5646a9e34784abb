// How loading is described and limited.
#include "serving/load/load_progress.h"

#include <gtest/gtest.h>

#include <thread>

namespace dray::serving {
namespace {

using std::chrono::seconds;

TEST(LoadPaceTest, SaysRateAndRemainingTime) {
  LoadPace pace;
  EXPECT_EQ(pace.DescribeAt(10, 200'000'000, 5'000'000'000), "200.00 MB of 5.00 GB");
  EXPECT_EQ(pace.DescribeAt(10, 300'000'000, 5'000'000'000), "300.00 MB of 5.00 GB");
  EXPECT_EQ(pace.DescribeAt(12, 1'400'000'000, 5'000'000'000),
            "1.40 GB of 5.00 GB, 600.00 MB/s, 6 s left");
  EXPECT_EQ(pace.DescribeAt(18, 5'000'000'000, 5'000'000'000),
            "5.00 GB of 5.00 GB, 600.00 MB/s, 0 s left");
}

TEST(LoadDeadlineTest, EndsALoadThatIsLate) {
  LoadDeadline deadline(seconds(1), {});
  std::this_thread::sleep_for(std::chrono::milliseconds(1100));
  deadline.Progress(4'000, 10'000);
  EXPECT_TRUE(deadline.stop_token().stop_requested());
  deadline.Progress(5'000, 10'000);
  const Status status = deadline.Explain(Status(StatusCode::kCancelled, "stopped"));
  EXPECT_EQ(status.code(), StatusCode::kDeadlineExceeded);
  EXPECT_EQ(status.message(),
            "loading it took longer than model_loading_timeout = 1 s, in which 4.00 kB of 10.00 kB "
            "were loaded; set a larger limit, or 0 for none");
}

TEST(LoadDeadlineTest, LeavesALoadThatIsInTime) {
  LoadDeadline deadline(seconds(86'400), {});
  deadline.Progress(1, 10);
  EXPECT_FALSE(deadline.stop_token().stop_requested());
}

TEST(LoadDeadlineTest, LeavesALoadThatIsThrough) {
  LoadDeadline deadline(seconds(1), {});
  std::this_thread::sleep_for(std::chrono::milliseconds(1100));
  deadline.Progress(10, 10);
  EXPECT_FALSE(deadline.stop_token().stop_requested());
  EXPECT_TRUE(deadline.Explain(OkStatus()).ok());
}

TEST(LoadDeadlineTest, TheCallerMayEndItEarlier) {
  std::stop_source caller;
  LoadDeadline deadline(seconds(0), caller.get_token());
  deadline.Progress(1, 10);
  EXPECT_FALSE(deadline.stop_token().stop_requested());
  caller.request_stop();
  EXPECT_TRUE(deadline.stop_token().stop_requested());
  const Status cancelled(StatusCode::kCancelled, "stopped");
  EXPECT_EQ(deadline.Explain(cancelled).code(), StatusCode::kCancelled);
}

}  // namespace
}  // namespace dray::serving
