// A whole model around a real, if tiny, tokenizer.
#include "serving/tokenizer_codec.h"

#include <gtest/gtest.h>

namespace dray::serving {
namespace {

// Byte level, with "hi" as one token and the two bytes of é apart; the begin token comes first.
constexpr std::string_view kTokenizer = R"({
  "added_tokens": [{"id": 6, "content": "<s>", "special": true, "single_word": false,
                    "lstrip": false, "rstrip": false, "normalized": false}],
  "normalizer": null,
  "pre_tokenizer": {"type": "ByteLevel", "add_prefix_space": false, "use_regex": true,
                    "trim_offsets": true},
  "post_processor": {"type": "TemplateProcessing",
    "single": [{"SpecialToken": {"id": "<s>", "type_id": 0}}, {"Sequence": {"id": "A", "type_id": 0}}],
    "pair": [{"Sequence": {"id": "A", "type_id": 0}}, {"Sequence": {"id": "B", "type_id": 0}}],
    "special_tokens": {"<s>": {"id": "<s>", "ids": [6], "tokens": ["<s>"]}}},
  "decoder": {"type": "ByteLevel", "add_prefix_space": true, "use_regex": true,
              "trim_offsets": true},
  "model": {"type": "BPE", "unk_token": null, "dropout": null, "continuing_subword_prefix": null,
            "end_of_word_suffix": null, "fuse_unk": false, "byte_fallback": false,
            "vocab": {"h": 0, "i": 1, "\u00c3": 2, "\u00a9": 3, "hi": 4, "\u0120": 5},
            "merges": ["h i"]}
})";

std::unique_ptr<TextCodec> MakeCodec() {
  auto tokenizer = tokenizer::Tokenizer::FromJson(kTokenizer);
  EXPECT_TRUE(tokenizer.ok()) << tokenizer.status().message();
  return tokenizer.ok() ? MakeTokenizerCodec(std::move(tokenizer).value()) : nullptr;
}

TEST(TokenizerCodecTest, EncodesWithAndWithoutSpecialTokens) {
  const auto codec = MakeCodec();
  ASSERT_NE(codec, nullptr);
  EXPECT_EQ(*codec->EncodePrompt("hi \xC3\xA9", {}), (std::vector<int32_t>{6, 4, 5, 2, 3}));
  EXPECT_EQ(*codec->EncodePlain("hi"), std::vector<int32_t>{4});
  EXPECT_TRUE(codec->IsSpecial(6));
  EXPECT_FALSE(codec->IsSpecial(4));
  EXPECT_EQ(codec->TokenText(6), "<s>");
  EXPECT_EQ(codec->TokenText(5), " ");
  EXPECT_GE(codec->max_token_bytes(), 3U);
}

TEST(TokenizerCodecTest, StreamsWholeCharacters) {
  const auto codec = MakeCodec();
  ASSERT_NE(codec, nullptr);
  const auto stream = codec->NewStream(SpecialTokens::kSkip, {});
  EXPECT_EQ(stream->Push(6), "");
  EXPECT_EQ(stream->Push(4), "hi");
  EXPECT_EQ(stream->Push(2), "");
  EXPECT_EQ(stream->Push(3), "\xC3\xA9");
  EXPECT_EQ(stream->Push(2), "");
  EXPECT_EQ(stream->Flush(), "\xEF\xBF\xBD");
  EXPECT_EQ(codec->NewStream(SpecialTokens::kKeep, {})->Push(6), "<s>");
}

TEST(TokenizerCodecTest, ACharacterMayBeginInThePrompt) {
  const auto codec = MakeCodec();
  ASSERT_NE(codec, nullptr);
  const std::vector<int32_t> prompt = {4, 2};
  EXPECT_EQ(codec->NewStream(SpecialTokens::kSkip, prompt)->Push(3), "\xC3\xA9");
}

}  // namespace
}  // namespace dray::serving
