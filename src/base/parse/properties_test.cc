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

std::string ValueOf(const std::string& escaped) {
  const auto parsed = ParseProperties("key=" + escaped);
  EXPECT_TRUE(parsed.ok()) << escaped << ": " << parsed.status().message();
  return parsed.ok() ? parsed->at("key") : "";
}

TEST(PropertiesTest, JoinsSurrogatePairsAsJavaDoes) {
  EXPECT_EQ(ValueOf(R"(\ud83d\ude42)"), "\xF0\x9F\x99\x82");
  EXPECT_EQ(ValueOf(R"(\uD83D\uDE42)"), "\xF0\x9F\x99\x82");
  EXPECT_EQ(ValueOf(R"(\ud800\udc00)"), "\xF0\x90\x80\x80");  // U+10000, the first such character
  EXPECT_EQ(ValueOf(R"(\udbff\udfff)"), "\xF4\x8F\xBF\xBF");  // U+10FFFF, the last
  EXPECT_EQ(ValueOf(R"(a\ud83d\ude42b\ud83d\ude42)"),
            "a\xF0\x9F\x99\x82"
            "b\xF0\x9F\x99\x82");
  EXPECT_EQ(ValueOf("\\ud83d\\\n  \\ude42"), "\xF0\x9F\x99\x82");  // over a continued line
  EXPECT_EQ(ValueOf(R"(\ud7ff\ue000\uffff)"), "\xED\x9F\xBF\xEE\x80\x80\xEF\xBF\xBF");
  EXPECT_EQ(ValueOf(R"(\\ud83d)"), R"(\ud83d)");  // an escaped backslash, and letters
  EXPECT_EQ((*ParseProperties(R"(\ud83d\ude42=v)")).at("\xF0\x9F\x99\x82"), "v");
}

TEST(PropertiesTest, RefusesHalfAPair) {
  for (const char* text :
       {R"(\ud83d)", R"(\ude42)", R"(\ude42\ud83d)", R"(\ud83d\ud83d\ude42)", R"(\ud83dx\ude42)",
        R"(\ud83d\u0041)", R"(\ud83d\n)", R"(\ud83d\ude4)"}) {
    const auto parsed = ParseProperties(std::string("first=1\nkey=") + text);
    ASSERT_FALSE(parsed.ok()) << text;
    EXPECT_NE(parsed.status().message().find("line 2"), std::string::npos) << text;
  }
}

TEST(PropertiesTest, EscapedBlanksAtTheEndsStay) {
  EXPECT_EQ(ValueOf("\\ a\\ "), " a ");
  EXPECT_EQ(ValueOf("a\\\\ "), "a\\");
  EXPECT_EQ(ValueOf("a\\\t "), "a\t");
}

TEST(PropertiesTest, ErrorsNameTheLine) {
  const auto bad = ParseProperties("a=1\n\nb=\\u12\n");
  ASSERT_FALSE(bad.ok());
  EXPECT_NE(bad.status().message().find("line 3"), std::string::npos);
  EXPECT_FALSE(ParseProperties("=value").ok());
}

}  // namespace
}  // namespace dray
