#include "serving/manager/load_turns.h"

#include <gtest/gtest.h>

#include <optional>
#include <thread>
#include <vector>

namespace dray::serving {
namespace {

TEST(LoadTurnsTest, OneAfterAnother) {
  LoadTurns turns;
  int num_loading = 0;
  int num_loaded = 0;
  std::vector<std::thread> threads;
  for (int i = 0; i < 8; ++i) {
    threads.emplace_back([&] {
      const auto turn = turns.Take({});
      EXPECT_TRUE(turn.ok());
      EXPECT_EQ(++num_loading, 1);
      std::this_thread::yield();
      --num_loading;
      ++num_loaded;
    });
  }
  for (std::thread& thread : threads) thread.join();
  EXPECT_EQ(num_loaded, 8);
}

TEST(LoadTurnsTest, ALoadThatIsStoppedLeavesTheQueue) {
  LoadTurns turns;
  std::optional first(turns.Take({}));
  ASSERT_TRUE(first->ok());
  std::stop_source stop;
  std::thread stopped(
      [&] { EXPECT_EQ(turns.Take(stop.get_token()).status().code(), StatusCode::kCancelled); });
  std::thread next([&] { EXPECT_TRUE(turns.Take({}).ok()); });
  stop.request_stop();
  stopped.join();
  first.reset();
  next.join();
}

// The load itself looks at the token.
TEST(LoadTurnsTest, ATurnThatIsFreeIsGivenAlthoughItIsStopped) {
  LoadTurns turns;
  std::stop_source stop;
  stop.request_stop();
  EXPECT_TRUE(turns.Take(stop.get_token()).ok());
}

}  // namespace
}  // namespace dray::serving
