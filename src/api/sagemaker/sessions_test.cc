#include "api/sagemaker/sessions.h"

#include <gtest/gtest.h>

namespace dray::api {
namespace {

TEST(SessionTableTest, ForgetsWhatHasExpired) {
  using std::chrono::seconds;
  SessionTable table;
  const SessionTable::Clock::time_point start{seconds(1'700'000'000)};
  EXPECT_EQ(FormatUtc(start), "2023-11-14T22:13:20Z");
  const auto session = table.Create(start, seconds(10));
  ASSERT_TRUE(session.ok());
  EXPECT_EQ(session->expires, start + seconds(10));
  EXPECT_TRUE(table.Find(session->id, start + seconds(9)).ok());
  EXPECT_TRUE(table.Find(session->id, start + seconds(10)).ok());
  EXPECT_FALSE(table.Find(session->id, start + seconds(11)).ok());
}

TEST(SessionTableTest, HasALimit) {
  using std::chrono::seconds;
  SessionTable table;
  const SessionTable::Clock::time_point start{};
  for (size_t i = 0; i < SessionTable::kMaxSessions; ++i) {
    ASSERT_TRUE(table.Create(start, seconds(10)).ok());
  }
  EXPECT_EQ(table.Create(start, seconds(10)).status().code(), StatusCode::kResourceExhausted);
  EXPECT_TRUE(table.Create(start + seconds(10), seconds(10)).ok());
}

}  // namespace
}  // namespace dray::api
