#include "tokenizer/text/unicode.h"

#include <gtest/gtest.h>

#include <chrono>

#include "tokenizer/text/byte_level.h"
#include "tokenizer/text/utf8.h"

namespace dray::tokenizer {
namespace {

TEST(Utf8Test, ReplacesMaximalSubparts) {
  const std::string fffd(kReplacementUtf8);
  EXPECT_EQ(ReplaceInvalidUtf8("a\xFFz"), "a" + fffd + "z");
  EXPECT_EQ(ReplaceInvalidUtf8("\xF0\x9F\x98"), fffd);  // one character cut short
  EXPECT_EQ(ReplaceInvalidUtf8("\xF0\x9F"
                               "a"),
            fffd + "a");
  EXPECT_EQ(ReplaceInvalidUtf8("\xC0\x80"), fffd + fffd);             // overlong
  EXPECT_EQ(ReplaceInvalidUtf8("\xED\xA0\x80"), fffd + fffd + fffd);  // a surrogate
  EXPECT_EQ(ReplaceInvalidUtf8("\xF4\x90\x80\x80"), fffd + fffd + fffd + fffd);
  EXPECT_EQ(ReplaceInvalidUtf8("é日😀"), "é日😀");
}

TEST(Utf8Test, StepsTellIncompleteFromInvalid) {
  using Kind = Utf8Step::Kind;
  EXPECT_EQ(NextUtf8("\xE6\x97").kind, Kind::kIncomplete);
  EXPECT_EQ(NextUtf8("\xE6"
                     "a")
                .kind,
            Kind::kInvalid);
  EXPECT_EQ(NextUtf8("\xE6\x97\xA5").length, 3u);
  EXPECT_EQ(CharBoundaryBefore("a日", 3), 1u);
}

TEST(Utf8Test, RoundTripsEveryCharacter) {
  for (char32_t code = 0; code < 0x110000; ++code) {
    if (code == 0xD800) code = 0xE000;
    std::string text;
    AppendUtf8(code, text);
    ASSERT_TRUE(IsValidUtf8(text)) << static_cast<uint32_t>(code);
    ASSERT_EQ(DecodeChar(text, 0).code, code);
    ASSERT_EQ(DecodeChar(text, 0).bytes, text.size());
  }
}

TEST(ByteLevelTest, IsABijection) {
  std::string all;
  for (int byte = 0; byte < 256; ++byte) all += static_cast<char>(byte);
  std::string mapped;
  AppendByteLevel(all, mapped);
  EXPECT_EQ(CountChars(mapped), 256u);
  std::string back;
  EXPECT_TRUE(AppendFromByteLevel(mapped, back));
  EXPECT_EQ(back, all);
  mapped.clear();
  AppendByteLevel(" \n\x7F\xAD", mapped);
  EXPECT_EQ(mapped, "ĠĊġŃ");
  back = "kept";
  EXPECT_FALSE(AppendFromByteLevel("a▁", back));
  EXPECT_EQ(back, "kept");
}

TEST(UnicodeTest, NormalForms) {
  EXPECT_EQ(Normalize("e\xCC\x81", NormalForm::kNfc), "é");
  EXPECT_EQ(Normalize("é", NormalForm::kNfd), "e\xCC\x81");
  EXPECT_EQ(Normalize("ﬁ①", NormalForm::kNfkc), "fi1");
  EXPECT_EQ(Normalize("ﬁ①", NormalForm::kNfc), "ﬁ①");
  EXPECT_EQ(Normalize("한", NormalForm::kNfd), "\xE1\x84\x92\xE1\x85\xA1\xE1\x86\xAB");
  EXPECT_EQ(Normalize("q\xCC\x87\xCC\xA3", NormalForm::kNfc), "q\xCC\xA3\xCC\x87");
  EXPECT_EQ(Normalize("\xE2\x84\xAB", NormalForm::kNfc), "\xC3\x85");
}

// The canonical order of a long run of marks must not take quadratic time.
TEST(UnicodeTest, LongRunsOfMarksAreFast) {
  std::string text = "a";
  for (int i = 0; i < 200000; ++i) text += i % 2 == 0 ? "\xCC\x81" : "\xCC\xA3";
  const auto start = std::chrono::steady_clock::now();
  const std::string composed = Normalize(text, NormalForm::kNfc);
  EXPECT_LT(std::chrono::steady_clock::now() - start, std::chrono::seconds(5));
  EXPECT_EQ(composed.substr(0, 3), "ạ");
  EXPECT_EQ(CountChars(composed), 200000u);
}

TEST(UnicodeTest, Classes) {
  EXPECT_TRUE(IsWhitespace(0x3000));
  EXPECT_FALSE(IsWhitespace(0x200B));
  EXPECT_TRUE(IsLetter(U'日'));
  EXPECT_TRUE(IsNumber(U'½'));
  EXPECT_TRUE(IsWord(U'_') && IsWord(0x200D) && IsWord(0x24B6));
  EXPECT_FALSE(IsWord(U'-'));
  EXPECT_TRUE(IsPunctuation(U'$') && IsPunctuation(U'。'));
  EXPECT_FALSE(IsPunctuation(U'€'));
  std::string lower;
  for (const char32_t code : {U'Ä', char32_t{0x130}, U'ẞ'}) AppendLowercase(code, lower);
  EXPECT_EQ(lower, "äi\xCC\x87ß");
}

TEST(UnicodeTest, GraphemeClusters) {
  EXPECT_EQ(GraphemeEnds("e\xCC\x81"
                         "x"),
            (std::vector<size_t>{3, 4}));
  EXPECT_EQ(GraphemeEnds("a\r\nb"), (std::vector<size_t>{1, 3, 4}));
  EXPECT_EQ(GraphemeEnds("👩🏿‍🚀"), (std::vector<size_t>{15}));
  EXPECT_TRUE(GraphemeEnds("").empty());
}

}  // namespace
}  // namespace dray::tokenizer
