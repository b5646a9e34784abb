// Panels that threads take while they work.
#include "kernels/cpu/panel_shares.h"

#include <gtest/gtest.h>

#include <atomic>
#include <vector>

#include "base/threads/thread_pool.h"

namespace dray::kernels {
namespace {

TEST(PanelSharesTest, EveryPanelIsTakenOnce) {
  constexpr int kThreads = 4;
  PanelShares shares(kThreads);
  for (const int64_t panels : {0, 1, 3, 7, 1000}) {
    shares.Reset(panels, kThreads);
    std::vector<std::atomic<int>> taken(static_cast<size_t>(panels));
    ThreadPool pool(kThreads);
    pool.Run([&](int thread_idx) {
      for (;;) {
        const Range part = shares.Take(thread_idx);
        if (part.begin >= part.end) break;
        for (int64_t p = part.begin; p < part.end; ++p) ++taken[static_cast<size_t>(p)];
      }
    });
    for (const auto& count : taken) EXPECT_EQ(count, 1) << panels;
  }
}

TEST(PanelSharesTest, OneThreadDoesTheWorkOfAStalledOne) {
  PanelShares shares(3);
  shares.Reset(30, 2);
  int64_t panels = 0;
  for (Range part = shares.Take(1); part.begin < part.end; part = shares.Take(1)) {
    panels += part.end - part.begin;
  }
  EXPECT_EQ(panels, 30);
}

TEST(PanelSharesTest, AThreadWithoutAShareTakesSinglePanelsFromTheBack) {
  PanelShares shares(2);
  shares.Reset(10, 2);
  const Range first = shares.Take(2);
  EXPECT_EQ(first.begin, 4);
  EXPECT_EQ(first.end, 5);
  int64_t panels = 1;
  for (Range part = shares.Take(2); part.begin < part.end; part = shares.Take(2)) {
    EXPECT_EQ(part.end - part.begin, 1);
    ++panels;
  }
  EXPECT_EQ(panels, 10);
}

}  // namespace
}  // namespace dray::kernels
