#include "base/parse/json.h"

#include <gtest/gtest.h>

#include <limits>
#include <string>

namespace dray {
namespace {

Json MustParse(std::string_view text) {
  auto result = Json::Parse(text);
  EXPECT_TRUE(result.ok()) << result.status().ToString();
  return result.ok() ? *result : Json();
}

TEST(JsonTest, ReadsEveryKind) {
  const Json value =
      MustParse(R"( {"a": [1, -2.5, true, null, "x\u00e9\n"], "b": {"c": 18446744073709551615}} )");
  const Json::Array& a = *value.Find("a")->AsArray();
  EXPECT_EQ(a[0].AsInt64(), 1);
  EXPECT_FALSE(a[1].AsInt64().has_value());
  EXPECT_EQ(a[1].AsDouble(), -2.5);
  EXPECT_EQ(a[2].AsBool(), true);
  EXPECT_TRUE(a[3].is_null());
  EXPECT_EQ(*a[4].AsString(), "x\xC3\xA9\n");
  EXPECT_EQ(value.Find("b")->Find("c")->AsDouble(), 18446744073709551615.0);
  EXPECT_EQ(value.Find("missing"), nullptr);
}

TEST(JsonTest, WholeDoublesReadAsIntegers) {
  EXPECT_EQ(MustParse("1e3").AsInt64(), 1000);
  EXPECT_FALSE(MustParse("1e30").AsInt64().has_value());
}

TEST(JsonTest, DoublesAreTheNearestToTheirText) {
  EXPECT_EQ(MustParse("18446744305775901615407370955161").AsDouble(), 0x1.d1a94a8248af2p+103);
  EXPECT_EQ(MustParse("1.8446744305775902e+31").AsDouble(), 0x1.d1a94a8248af2p+103);
  const Json list = MustParse("[0.1, 1e-7, 1e999, 2.5e-324]");
  EXPECT_EQ((*list.AsArray())[0].AsDouble(), 0.1);
  EXPECT_EQ((*list.AsArray())[1].AsDouble(), 1e-7);
  EXPECT_EQ((*list.AsArray())[2].AsDouble(), std::numeric_limits<double>::infinity());
  EXPECT_EQ((*list.AsArray())[3].AsDouble(), std::numeric_limits<double>::denorm_min());
}

TEST(JsonTest, RefusesBrokenText) {
  for (const char* text : {"", "{", "[1,]", "{\"a\":1,}", "01", "nul", "\"\xff\"", "1 2",
                           "{\"a\" 1}", "[1e999]x", "\"\\ud800x\""}) {
    EXPECT_FALSE(Json::Parse(text).ok()) << text;
  }
}

TEST(JsonTest, DepthIsLimitedWithoutUsingStack) {
  EXPECT_TRUE(Json::Parse(std::string(99, '[') + std::string(99, ']')).ok());
  const auto deep = Json::Parse(std::string(500000, '['));
  ASSERT_FALSE(deep.ok());
  EXPECT_NE(deep.status().message().find("nested deeper than 100"), std::string::npos);
}

// A document of `count` values of one kind in a list, the list counted.
std::string ListOf(size_t count, const std::string& value) {
  std::string text = "[";
  for (size_t i = 1; i < count; ++i) text += (i > 1 ? "," : "") + value;
  return text + "]";
}

TEST(JsonTest, ValuesOfEveryKindAreCountedUpToTheLimit) {
  for (const char* value :
       {"0", "1.5", "18446744073709551615", "true", "null", "\"a\"", "[]", "{}"}) {
    EXPECT_TRUE(Json::Parse(ListOf(1000, value), {.max_values = 1000}).ok()) << value;
    const auto over = Json::Parse(ListOf(1001, value), {.max_values = 1000});
    ASSERT_FALSE(over.ok()) << value;
    EXPECT_EQ(over.status().code(), StatusCode::kResourceExhausted);
    EXPECT_NE(over.status().message().find("more than 1000 JSON values"), std::string::npos);
  }
  const std::string members = R"({"a":1,"b":{"c":[2,"d"]}})";
  EXPECT_TRUE(Json::Parse(members, {.max_values = 6}).ok());
  EXPECT_FALSE(Json::Parse(members, {.max_values = 5}).ok());
  EXPECT_TRUE(Json::Parse("1", {.max_values = 1}).ok());
  EXPECT_FALSE(Json::Parse("[1]", {.max_values = 1}).ok());
  // Separators inside strings are no values.
  EXPECT_TRUE(Json::Parse('"' + std::string(5000, ',') + '"', {.max_values = 1}).ok());
}

// What comes after the limit costs nothing: not even its grammar is looked at.
TEST(JsonTest, ParsingStopsAtTheLimit) {
  const std::string text = "[" + std::string(100, '[') + "x";
  EXPECT_EQ(Json::Parse(text, {.max_values = 50}).status().code(), StatusCode::kResourceExhausted);
  EXPECT_EQ(Json::Parse(ListOf(20, "0") + "x", {.max_values = 10}).status().code(),
            StatusCode::kResourceExhausted);
}

TEST(JsonTest, ManyEqualKeysAreReadInOnePass) {
  constexpr size_t kMembers = 150'000;
  std::string text = "{";
  for (size_t i = 0; i < kMembers; ++i) text += "\"seed\":" + std::to_string(i) + ",";
  text += "\"last\":1}";
  const Json value = MustParse(text);
  EXPECT_EQ(value.AsObject()->size(), kMembers + 1);
  EXPECT_EQ(value.Find("seed")->AsInt64(), kMembers - 1);
  EXPECT_FALSE(Json::Parse(text, {.duplicates = JsonDuplicates::kRefuse}).ok());
}

TEST(JsonTest, DuplicateKeys) {
  const char* text = R"({"a": 1, "b": 2, "a": 3})";
  EXPECT_EQ(MustParse(text).Find("a")->AsInt64(), 3);
  const auto refused = Json::Parse(text, {.duplicates = JsonDuplicates::kRefuse});
  ASSERT_FALSE(refused.ok());
  EXPECT_NE(refused.status().message().find("\"a\" stands twice"), std::string::npos);
}

TEST(JsonTest, DumpsCompactAndPretty) {
  Json value = Json::MakeObject({{"text", "a\"\n\x01"}, {"list", Json::Array{1, 0.1f, nullptr}}});
  EXPECT_EQ(value.Dump(), "{\"text\":\"a\\\"\\n\\u0001\",\"list\":[1,0.1,null]}");
  EXPECT_EQ(Json::MakeObject({{"a", Json::Array{1}}, {"b", Json::MakeArray()}}).Dump(2),
            "{\n  \"a\": [\n    1\n  ],\n  \"b\": []\n}");
  EXPECT_EQ(Json("a\xff"
                 "b")
                .Dump(),
            "\"a\xEF\xBF\xBD"
            "b\"");
}

TEST(JsonTest, NegativeZeroKeepsItsSign) {
  EXPECT_EQ(Json(-0.0).Dump(), "-0.0");
  EXPECT_EQ(MustParse("-0e32").Dump(), "-0.0");
  EXPECT_EQ(MustParse("-0.0").Dump(), "-0.0");
}

TEST(JsonTest, DumpAndParseAreInverse) {
  const char* text = R"({"a":[1,2.5,"é",false,null],"b":{},"c":-9223372036854775808})";
  EXPECT_EQ(MustParse(text).Dump(), text);
}

}  // namespace
}  // namespace dray
