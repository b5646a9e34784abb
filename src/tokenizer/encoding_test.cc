// Pairs of texts: templates, types, and how they are cut.
#include "tokenizer/encoding.h"

#include <gtest/gtest.h>

#include <array>
#include <string>

#include "tokenizer/tokenizer.h"

namespace dray::tokenizer {
namespace {

using Ids = std::vector<int32_t>;

Ids Count(size_t size, int32_t first) {
  Ids ids;
  for (size_t i = 0; i < size; ++i) ids.push_back(first + static_cast<int32_t>(i));
  return ids;
}

struct Cut {
  TruncationStrategy strategy;
  size_t max_ids;
  std::array<size_t, 2> sizes;  // before
  std::array<size_t, 2> left;
};

TEST(TruncateTest, SharesOfAPair) {
  using S = TruncationStrategy;
  const Cut cuts[] = {
      {S::kLongestFirst, 10, {4, 6}, {4, 6}},  {S::kLongestFirst, 9, {4, 6}, {4, 5}},
      {S::kLongestFirst, 7, {3, 9}, {3, 4}},   {S::kLongestFirst, 7, {9, 3}, {4, 3}},
      {S::kLongestFirst, 7, {9, 9}, {3, 4}},   {S::kLongestFirst, 7, {10, 9}, {4, 3}},
      {S::kLongestFirst, 5, {20, 30}, {2, 3}}, {S::kLongestFirst, 1, {2, 2}, {0, 1}},
      {S::kLongestFirst, 0, {2, 2}, {0, 0}},   {S::kOnlyFirst, 7, {9, 3}, {4, 3}},
      {S::kOnlySecond, 7, {3, 9}, {3, 4}},     {S::kOnlyFirst, 0, {2, 2}, {0, 0}},
  };
  for (const Cut& cut : cuts) {
    for (const TruncationSide side : {TruncationSide::kRight, TruncationSide::kLeft}) {
      Ids texts[] = {Count(cut.sizes[0], 0), Count(cut.sizes[1], 100)};
      ASSERT_TRUE(Truncate({cut.max_ids, cut.strategy}, side, texts).ok());
      const bool right = side == TruncationSide::kRight;
      for (size_t i = 0; i < 2; ++i) {
        const size_t first = right ? 0 : cut.sizes[i] - cut.left[i];
        EXPECT_EQ(texts[i], Count(cut.left[i], static_cast<int32_t>(first + 100 * i)));
      }
    }
  }
}

TEST(TruncateTest, WhatCannotBeCutIsRefused) {
  Ids pair[] = {Count(9, 0), Count(3, 0)};
  const Status first = Truncate({3, TruncationStrategy::kOnlyFirst}, TruncationSide::kRight, pair);
  EXPECT_EQ(first.code(), StatusCode::kInvalidArgument);
  EXPECT_EQ(first.message().find("the first text has 9 ids, but 9 would have to go"), 0u);
  const Status second =
      Truncate({8, TruncationStrategy::kOnlySecond}, TruncationSide::kRight, pair);
  EXPECT_EQ(second.message().find("the second text has 3 ids, but 4 would have to go"), 0u);
  Ids single[] = {Count(9, 0)};
  EXPECT_EQ(Truncate({3, TruncationStrategy::kOnlySecond}, TruncationSide::kRight, single).code(),
            StatusCode::kInvalidArgument);
  ASSERT_TRUE(Truncate({3, TruncationStrategy::kOnlyFirst}, TruncationSide::kRight, single).ok());
  EXPECT_EQ(single[0], Count(3, 0));
}

std::unique_ptr<Tokenizer> WithPostProcessor(const std::string& post_processor) {
  auto tokenizer = Tokenizer::FromJson(R"({"pre_tokenizer": {"type": "Whitespace"},
      "model": {"type": "WordLevel", "unk_token": "a", "vocab": {"a": 0, "b": 1, "C": 2, "S": 3}},
      "post_processor": )" + post_processor +
                                       "}");
  EXPECT_TRUE(tokenizer.ok()) << tokenizer.status().message();
  return tokenizer.ok() ? std::move(tokenizer).value() : nullptr;
}

struct PairCase {
  const char* post_processor;
  Ids ids, types;              // of the pair "a a", "b"
  Ids plain_ids, plain_types;  // without special tokens
};

TEST(EncodePairTest, EveryKindOfPostProcessor) {
  const PairCase cases[] = {
      {"null", {0, 0, 1}, {0, 0, 1}, {0, 0, 1}, {0, 0, 1}},
      {R"({"type": "ByteLevel", "add_prefix_space": true, "trim_offsets": true})",
       {0, 0, 1},
       {0, 0, 1},
       {0, 0, 1},
       {0, 0, 1}},
      {R"({"type": "BertProcessing", "cls": ["C", 2], "sep": ["S", 3]})",
       {2, 0, 0, 3, 1, 3},
       {0, 0, 0, 0, 1, 1},
       {0, 0, 1},
       {0, 0, 1}},
      {R"({"type": "RobertaProcessing", "cls": ["C", 2], "sep": ["S", 3]})",
       {2, 0, 0, 3, 3, 1, 3},
       {0, 0, 0, 0, 0, 0, 0},
       {0, 0, 1},
       {0, 0, 0}},
      {R"({"type": "Sequence", "processors": [{"type": "ByteLevel"}, {"type": "TemplateProcessing",
          "single": [{"Sequence": {"id": "A", "type_id": 0}}],
          "pair": [{"Sequence": {"id": "B", "type_id": 5}}, {"SpecialToken": {"id": "S", "type_id": 7}},
                   {"Sequence": {"id": "A", "type_id": 0}}],
          "special_tokens": {"S": {"id": "S", "ids": [3, 2], "tokens": ["S", "C"]}}}]})",
       {1, 3, 2, 0, 0},
       {5, 7, 7, 0, 0},
       {1, 0, 0},
       {5, 0, 0}},
  };
  for (const PairCase& one : cases) {
    const auto tokenizer = WithPostProcessor(one.post_processor);
    ASSERT_NE(tokenizer, nullptr);
    const auto whole = tokenizer->EncodePair("a a", "b", {});
    ASSERT_TRUE(whole.ok()) << whole.status().message();
    EXPECT_EQ(whole->ids, one.ids);
    EXPECT_EQ(whole->type_ids, one.types);
    const auto plain = tokenizer->EncodePair("a a", "b", {.add_special_tokens = false});
    EXPECT_EQ(plain->ids, one.plain_ids);
    EXPECT_EQ(plain->type_ids, one.plain_types);
  }
}

TEST(EncodePairTest, LimitsCountSpecialTokens) {
  const auto tokenizer =
      WithPostProcessor(R"({"type": "BertProcessing", "cls": ["C", 2], "sep": ["S", 3]})");
  EncodeOptions options;
  options.truncation = Truncation{.max_ids = 5};
  EXPECT_EQ(tokenizer->EncodePair("a a a", "b b", options)->ids, (Ids{2, 0, 3, 1, 3}));
  EXPECT_EQ(tokenizer->EncodeTyped("a a a b b", options)->ids, (Ids{2, 0, 0, 0, 3}));
  EXPECT_EQ(tokenizer->Encode("a a a b b", options).value(), (Ids{2, 0, 0, 0, 3}));
  options.truncation->max_ids = 2;
  EXPECT_EQ(tokenizer->Encode("a", options).value(), (Ids{2, 3}));
  const auto refused = tokenizer->EncodePair("a", "b", options);
  EXPECT_EQ(refused.status().message(),
            "at most 2 ids are allowed, but the special tokens alone are 3");
}

TEST(EncodePairTest, SeveralTemplatesAreForOneTextOnly) {
  const auto tokenizer = WithPostProcessor(R"({"type": "Sequence", "processors": [
      {"type": "BertProcessing", "cls": ["C", 2], "sep": ["S", 3]},
      {"type": "BertProcessing", "cls": ["C", 2], "sep": ["S", 3]}]})");
  EXPECT_EQ(tokenizer->Encode("a", {}).value(), (Ids{2, 2, 0, 3, 3}));
  EXPECT_EQ(tokenizer->EncodePair("a", "b", {}).status().code(), StatusCode::kUnsupported);
}

TEST(EncodePairTest, BadTemplatesAreRefused) {
  const auto refused = [](const std::string& single, const std::string& pair) {
    return Tokenizer::FromJson(
               R"({"model": {"type": "WordLevel", "unk_token": "a", "vocab": {"a": 0}},
        "post_processor": {"type": "TemplateProcessing", "special_tokens": {}, "single": )" +
               single + R"(, "pair": )" + pair + "}}")
        .status()
        .message();
  };
  const std::string a = R"([{"Sequence": {"id": "A", "type_id": 0}}])";
  const std::string b = R"([{"Sequence": {"id": "B", "type_id": 0}}])";
  EXPECT_NE(refused(b, a).find("post_processor.single[0].Sequence: \"B\" is not one of A"),
            std::string::npos);
  EXPECT_NE(refused(a, R"([{"Sequence": {"id": "C", "type_id": 0}}])").find("is not one of A, B"),
            std::string::npos);
  EXPECT_NE(refused(a, R"([{"Sequence": {"id": "A", "type_id": -1}}])").find("type_id: -1"),
            std::string::npos);
  EXPECT_EQ(refused(a, b), "");
}

}  // namespace
}  // namespace dray::tokenizer
