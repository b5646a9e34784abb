#include "settings/server/error_settings.h"

#include <gtest/gtest.h>

#include <chrono>

namespace dray::settings {
namespace {

using std::chrono::milliseconds;

TEST(ErrorSettingsTest, RatesAreReadAsInJava) {
  struct Case {
    const char* text;
    ErrorRate rate;
  };
  for (const Case& c :
       {Case{"10", {10, milliseconds(60'000)}}, Case{"0", {0, milliseconds(60'000)}},
        Case{"5/PT1M", {5, milliseconds(60'000)}}, Case{"5/pt1m30s", {5, milliseconds(90'000)}},
        Case{"5/P1D", {5, milliseconds(86'400'000)}},
        Case{"5/P1DT2H3M4.5S", {5, milliseconds(93'784'500)}},
        Case{"1/PT0,25S", {1, milliseconds(250)}}, Case{"1/PT1.S", {1, milliseconds(1000)}},
        Case{"1/PT0.123456789S", {1, milliseconds(123)}}}) {
    std::optional<ErrorRate> rate;
    ASSERT_TRUE(SetErrorRate(rate, c.text).ok()) << c.text;
    EXPECT_EQ(rate, c.rate) << c.text;
  }
}

TEST(ErrorSettingsTest, OtherTextsAreRefused) {
  for (const char* text :
       {"", "x", "-1", "5/", "5/1M", "5/P", "5/PT", "5/P1DT", "5/P1H", "5/PT1D", "5/PT1M2H",
        "5/PT1", "5/PT1.5M", "5/PT0S", "5/PT-1S", "5/PT1S ", "5/PT0.1234567890S",
        "5/P99999999999999999999D", "5/P9223372036854775807D"}) {
    std::optional<ErrorRate> rate;
    EXPECT_EQ(SetErrorRate(rate, text).code(), StatusCode::kInvalidArgument) << text;
    EXPECT_FALSE(rate.has_value()) << text;
  }
}

TEST(ErrorSettingsTest, StatusesAreFinal) {
  int64_t status = 0;
  EXPECT_TRUE(SetHttpStatus(status, "429").ok());
  EXPECT_EQ(status, 429);
  for (const char* text : {"100", "600", "", "-1", "4xx"}) {
    EXPECT_FALSE(SetHttpStatus(status, text).ok()) << text;
  }
}

}  // namespace
}  // namespace dray::settings
