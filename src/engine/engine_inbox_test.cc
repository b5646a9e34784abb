#include "engine/engine_inbox.h"

#include <gtest/gtest.h>

#include <atomic>
#include <thread>
#include <utility>
#include <vector>

namespace dray::engine {
namespace {

using TimePoint = EngineInbox::TimePoint;

bool Never() { return false; }

GenerateRequest PromptOf(std::vector<int32_t> ids) {
  GenerateRequest request;
  request.prompt = std::move(ids);
  return request;
}

TEST(EngineInboxTest, HandsOverWhatArrivedOnce) {
  EngineInbox inbox;
  const auto first = inbox.Submit(PromptOf({7}), nullptr);
  const auto second = inbox.Submit(PromptOf({8, 9}), nullptr);
  ASSERT_TRUE(first.ok());
  ASSERT_TRUE(second.ok());
  inbox.Cancel(*first);
  EngineInbox::Contents contents;
  inbox.Take(contents, TimePoint::max(), Never);
  ASSERT_EQ(contents.submissions.size(), 2U);
  EXPECT_EQ(contents.submissions[0].id, *first);
  EXPECT_EQ(contents.submissions[1].id, *second);
  EXPECT_EQ(contents.submissions[1].request.prompt, (std::vector<int32_t>{8, 9}));
  EXPECT_EQ(contents.cancellations, std::vector<RequestId>{*first});
  EXPECT_FALSE(contents.stopping);
  inbox.Take(contents, TimePoint::min(), Never);
  EXPECT_TRUE(contents.submissions.empty());
  EXPECT_TRUE(contents.cancellations.empty());
}

TEST(EngineInboxTest, RefusesRequestsOfASickEngineAndAfterTheStop) {
  EngineInbox inbox;
  inbox.Publish({}, Status(StatusCode::kInternal, "a rank is gone"));
  EXPECT_FALSE(inbox.healthy());
  EXPECT_EQ(inbox.Submit(PromptOf({7}), nullptr).status().message(), "a rank is gone");
  EngineStats stats;
  stats.steps = 3;
  inbox.Publish(stats, OkStatus());
  EXPECT_TRUE(inbox.healthy());
  EXPECT_EQ(inbox.stats().steps, 3U);
  inbox.Stop();
  EXPECT_EQ(inbox.Submit(PromptOf({7}), nullptr).status().code(), StatusCode::kUnavailable);
  EngineInbox::Contents contents;
  inbox.Take(contents, TimePoint::max(), Never);
  EXPECT_TRUE(contents.stopping);
}

TEST(EngineInboxTest, WaitsForItsConditionOrForTheTime) {
  EngineInbox inbox;
  EngineInbox::Contents contents;
  inbox.Take(contents, std::chrono::steady_clock::now() + std::chrono::milliseconds(1), Never);
  std::atomic<bool> is_due = false;
  std::thread other([&] {
    is_due = true;
    inbox.Wake();
  });
  inbox.Take(contents, TimePoint::max(), [&] { return is_due.load(); });
  other.join();
  EXPECT_TRUE(contents.submissions.empty());
}

}  // namespace
}  // namespace dray::engine
