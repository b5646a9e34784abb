#include "base/status.h"

#include <gtest/gtest.h>

#include <memory>

namespace dray {
namespace {

Result<int> Half(int value) {
  if (value % 2 != 0) return Status(StatusCode::kInvalidArgument, "odd");
  return value / 2;
}

Result<int> Quarter(int value) {
  DRAY_ASSIGN_OR_RETURN(const int half, Half(value));
  return Half(half);
}

TEST(StatusTest, ErrorsTravelUp) {
  EXPECT_EQ(*Quarter(8), 2);
  EXPECT_EQ(Quarter(6).status().message(), "odd");
  EXPECT_EQ(Quarter(6).status().WithPrefix("six").ToString(), "invalid argument: six: odd");
}

TEST(StatusTest, ResultHoldsMoveOnlyValues) {
  Result<std::unique_ptr<int>> result = std::make_unique<int>(3);
  std::unique_ptr<int> taken = std::move(result).value();
  EXPECT_EQ(*taken, 3);
}

TEST(StatusDeathTest, ReadingAnErrorsValueIsABug) {
  EXPECT_DEATH(
      {
        auto result = Half(1);
        (void)*result;
      },
      "odd");
}

}  // namespace
}  // namespace dray
