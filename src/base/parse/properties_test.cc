#include "base/parse/properties.h"

#include <gtest/gtest.h>

namespace dray {
namespace {

TEST(PropertiesTest, ReadsEverySpelling) {
  const auto result = ParseProperties(
      "# comment\n! also\n\nengine=MPI\r\noption.dtype : fp16\n  job_queue_size 12\n"
      "path=a\\\n   b\nuni=\\u00e9\\n\nempty=\nesc\\=key=v \n");
  ASSERT_TRUE(result.ok()) << result.status().ToString();
  const Properties expected = {{"engine", "MPI"},        {"option.dtype", "fp16"},
                               {"job_queue_size", "12"}, {"path", "ab"},
                               {"uni", "\xC3\xA9\n"},    {"empty", ""},
                               {"esc=key", "v"}};
  EXPECT_EQ(*result, expected);
}

TEST(PropertiesTest, LastOfTwoWins) { EXPECT_EQ((*ParseProperties("a=1\na=2")).at("a"), "2"); }

TEST(PropertiesTest, ErrorsNameTheLine) {
  const auto bad = ParseProperties("a=1\n\nb=\\u12\n");
  ASSERT_FALSE(bad.ok());
  EXPECT_NE(bad.status().message().find("line 3"), std::string::npos);
  EXPECT_FALSE(ParseProperties("=value").ok());
}

}  // namespace
}  // namespace dray
