// What a stream shows after each token, and what it leaves out because the prompt says it already.
#include "tokenizer/stream_decoder.h"

#include <gtest/gtest.h>

#include <string>
#include <vector>

#include "base/parse/json.h"

namespace dray::tokenizer {
namespace {

using Ids = std::vector<int32_t>;
using Texts = std::vector<std::string>;

constexpr const char* kUnknown = "\xEF\xBF\xBD";

std::unique_ptr<Tokenizer> Make(const std::string& json) {
  auto tokenizer = Tokenizer::FromJson(json);
  EXPECT_TRUE(tokenizer.ok()) << tokenizer.status().message();
  return tokenizer.ok() ? std::move(tokenizer).value() : nullptr;
}

// What each id adds, and last what the end adds.
Texts Stream(const Tokenizer& tokenizer, const Ids& prompt, const Ids& ids,
             const DecodeOptions& options = {}) {
  StreamDecoder stream(tokenizer, options, prompt);
  Texts texts;
  for (const int32_t id : ids) texts.push_back(stream.Push(id));
  texts.push_back(stream.Finish());
  return texts;
}

std::string Join(const Texts& texts) {
  std::string joined;
  for (const std::string& text : texts) joined += text;
  return joined;
}

// Of Llama's form: the id of a byte token is 3 and its byte; words follow, with special ones last.
constexpr int32_t kFirstWord = 3 + 256;
int32_t Byte(int value) { return 3 + value; }

std::unique_ptr<Tokenizer> MakeBytes(const std::string& decoder, const Texts& words,
                                     const Texts& special_words = {"<s>"}) {
  Json vocab = Json::MakeObject({{"<unk>", 0}, {"<1>", 1}, {"<2>", 2}});
  for (int byte = 0; byte < 256; ++byte) {
    constexpr std::string_view kDigits = "0123456789ABCDEF";
    vocab.Set(std::string("<0x") + kDigits[static_cast<size_t>(byte / 16)] +
                  kDigits[static_cast<size_t>(byte % 16)] + ">",
              Byte(byte));
  }
  int32_t id = kFirstWord;
  for (const std::string& word : words) vocab.Set(word, id++);
  Json added = Json::MakeArray();
  for (const std::string& word : special_words) {
    added.Append(Json::MakeObject({{"id", id++}, {"content", word}, {"special", true}}));
  }
  const Json model = Json::MakeObject(
      {{"type", "BPE"}, {"vocab", std::move(vocab)}, {"merges", Json::MakeArray()}});
  return Make("{\"decoder\": " + decoder + ", \"added_tokens\": " + added.Dump() +
              ", \"model\": " + model.Dump() + "}");
}

constexpr const char* kLlamaDecoder = R"({"type": "Sequence", "decoders": [
    {"type": "Replace", "pattern": {"String": "▁"}, "content": " "}, {"type": "ByteFallback"},
    {"type": "Fuse"}, {"type": "Strip", "content": " ", "start": 1, "stop": 0}]})";
constexpr const char* kBytesAndMetaspace = R"({"type": "Sequence", "decoders": [
    {"type": "ByteFallback"}, {"type": "Metaspace", "replacement": "▁", "prepend_scheme": "always"}]})";

TEST(StreamDecoderTest, NeverGivesHalfACharacter) {
  const auto tokenizer = Make(R"({"decoder": {"type": "ByteLevel"},
      "model": {"type": "BPE", "vocab": {"ð": 0, "Ł": 1, "ĺ": 2, "Ģ": 3, "a": 4}, "merges": []}})");
  EXPECT_EQ(Stream(*tokenizer, {}, {4, 0, 1, 2, 3, 0, 4, 0}),
            (Texts{"a", "", "", "", "😀", "", std::string(kUnknown) + "a", "", kUnknown}));
}

TEST(StreamDecoderTest, CharactersOfByteTokensGoOutWhenComplete) {
  const auto tokenizer = MakeBytes(kLlamaDecoder, {"▁a"});
  EXPECT_EQ(Stream(*tokenizer, {}, {kFirstWord, kFirstWord, Byte(0xC3), Byte(0xA9), Byte('!')}),
            (Texts{"a", " a", "", "é", "!", ""}));
  // U+0F40 again and again, as models for Tibetan answer.
  Ids ids;
  Texts wanted;
  for (int i = 0; i < 20; ++i) {
    for (const int byte : {0xE0, 0xBD, 0x80}) ids.push_back(Byte(byte));
    for (const char* text : {"", "", "ཀ"}) wanted.emplace_back(text);
  }
  wanted.emplace_back();
  EXPECT_EQ(Stream(*tokenizer, {}, ids), wanted);
  EXPECT_EQ(Stream(*MakeBytes(kBytesAndMetaspace, {}), {}, ids), wanted);
}

TEST(StreamDecoderTest, BytesOfNoCharacterAreShownOneByOne) {
  const auto tokenizer = MakeBytes(kLlamaDecoder, {"▁a"});
  // A lead byte without the rest, then a whole character.
  EXPECT_EQ(Stream(*tokenizer, {}, {Byte(0xE0), Byte(0xBD), Byte(0xC3), Byte(0xA9)}),
            (Texts{"", "", std::string(kUnknown) + kUnknown, "é", ""}));
  // Bytes that never begin a character, one that a word interrupts, one at the end.
  EXPECT_EQ(Stream(*tokenizer, {}, {Byte(0x80), Byte(0xFF), Byte(0xC3), kFirstWord, Byte(0xF0)}),
            (Texts{kUnknown, kUnknown, "", std::string(kUnknown) + " a", "", kUnknown}));
  // Surrogates and what is above U+10FFFF.
  EXPECT_EQ(Join(Stream(*tokenizer, {}, {Byte(0xED), Byte(0xA0), Byte(0x80)})),
            std::string(kUnknown) + kUnknown + kUnknown);
  EXPECT_EQ(Join(Stream(*tokenizer, {}, {Byte(0xF4), Byte(0x90)})),
            std::string(kUnknown) + kUnknown);
}

TEST(StreamDecoderTest, ARunOfBytesIsOneTokenForTheStepsAfterIt) {
  // Metaspace drops its sign from the whole first token, even where that token is bytes.
  const Ids first = {Byte('a'), Byte(0xE2), Byte(0x96), Byte(0x81), Byte('b')};
  const auto metaspace = MakeBytes(kBytesAndMetaspace, {"▁a"});
  EXPECT_EQ(Join(Stream(*metaspace, {}, first)), metaspace->Decode(first, {}));
  EXPECT_EQ(Stream(*metaspace, {}, first), (Texts{"a", "", "", "", "b", ""}));
  // WordPiece puts a blank before each token: characters of one token must not come as several.
  const auto word_piece = MakeBytes(R"({"type": "Sequence", "decoders": [{"type": "ByteFallback"},
      {"type": "WordPiece", "prefix": "##", "cleanup": false}]})",
                                    {"a"});
  const Ids run = {kFirstWord, Byte('x'), Byte('y'), kFirstWord};
  EXPECT_EQ(Join(Stream(*word_piece, {}, run)), "a xy a");
}

TEST(StreamDecoderTest, ThePromptsOwnTextIsNotNew) {
  const auto tokenizer = MakeBytes(kLlamaDecoder, {"▁ok", "▁done", "A", ":"});
  const int32_t ok = kFirstWord;
  const int32_t done = kFirstWord + 1;
  struct Case {
    Ids prompt;
    Ids answer;
    std::string wanted;
  };
  const Case cases[] = {
      // "A:\n", where the line's end is a byte token.
      {{kFirstWord + 2, kFirstWord + 3, Byte('\n')}, {ok, done}, " ok done"},
      {{ok, Byte('\n'), Byte('\n'), Byte('\n')}, {ok}, " ok"},
      // An emoji in byte tokens.
      {{ok, Byte(0xF0), Byte(0x9F), Byte(0x98), Byte(0x80)}, {done}, " done"},
      // Three times U+0F40, more bytes than the context has tokens, then U+0F41.
      {{Byte(0xE0), Byte(0xBD), Byte(0x80), Byte(0xE0), Byte(0xBD), Byte(0x80), Byte(0xE0),
        Byte(0xBD), Byte(0x80)},
       {Byte(0xE0), Byte(0xBD), Byte(0x81)},
       "ཁ"},
      // Bytes that are no text, in the prompt and in the answer.
      {{ok, Byte(0xFF), Byte(0xC3)}, {ok}, " ok"},
      {{ok, Byte(0xE0), Byte(0xBD)}, {Byte(0x80)}, "ཀ"},
      {{ok, Byte(0xE0), Byte(0xBD)}, {Byte('x')}, "x"},
      {{ok, Byte(0xE0)}, {Byte(0xBD), ok}, std::string(kUnknown) + " ok"},
      // Special tokens, more than the context has tokens, do not count.
      {Ids(20, kFirstWord + 4), {ok}, "ok"},
      {{ok, kFirstWord + 4, kFirstWord + 4, kFirstWord + 4, kFirstWord + 4, kFirstWord + 4,
        kFirstWord + 4, kFirstWord + 4, kFirstWord + 4, kFirstWord + 4},
       {ok},
       " ok"},
      // Nothing, and ids that are no tokens.
      {{}, {ok}, "ok"},
      {{ok, 70000, -1}, {ok}, " ok"},
      {{ok}, {}, ""},
      {{ok, Byte(0xC3)}, {}, ""},
  };
  for (const Case& one : cases) {
    EXPECT_EQ(Join(Stream(*tokenizer, one.prompt, one.answer)), one.wanted)
        << testing::PrintToString(one.prompt);
  }
}

TEST(StreamDecoderTest, BlanksBetweenWordsAreNewInEveryDecoder) {
  struct Case {
    const char* name;
    const char* decoder;  // with the vocabulary's two words
    const char* words;
    const char* wanted;
  };
  const Case cases[] = {
      {"none", "null", R"("one": 0, "two": 1)", " two"},
      {"WordPiece", R"({"type": "WordPiece", "prefix": "##", "cleanup": true})",
       R"("one": 0, "two": 1)", " two"},
      {"WordPiece, a part", R"({"type": "WordPiece", "prefix": "##", "cleanup": true})",
       R"("one": 0, "##two": 1)", "two"},
      {"BPEDecoder", R"({"type": "BPEDecoder", "suffix": "</w>"})", R"("one</w>": 0, "two</w>": 1)",
       " two"},
      {"BPEDecoder, a part", R"({"type": "BPEDecoder", "suffix": "</w>"})",
       R"("one": 0, "two</w>": 1)", "two"},
      {"Metaspace", R"({"type": "Metaspace", "replacement": "▁", "prepend_scheme": "always"})",
       R"("▁one": 0, "▁two": 1)", " two"},
      {"ByteLevel", R"({"type": "ByteLevel"})", R"("one": 0, "Ġtwo": 1)", " two"},
      {"Fuse and Replace, which know nothing before the end",
       R"({"type": "Sequence", "decoders": [{"type": "Fuse"},
           {"type": "Replace", "pattern": {"String": "▁"}, "content": " "}]})",
       R"("▁one": 0, "▁two": 1)", " two"},
      {"Strip at both ends",
       R"({"type": "Sequence", "decoders": [{"type": "Fuse"},
           {"type": "Strip", "content": "_", "start": 1, "stop": 1}]})",
       R"("_one_": 0, "two_": 1)", "_two"},
      {"CTC",
       R"({"type": "CTC", "pad_token": "<p>", "word_delimiter_token": "|", "cleanup": true})",
       R"("one": 0, "|two": 1)", " two"},
  };
  for (const Case& one : cases) {
    SCOPED_TRACE(one.name);
    const auto tokenizer =
        Make(std::string("{\"decoder\": ") + one.decoder +
             R"(, "model": {"type": "BPE", "merges": [], "vocab": {)" + one.words + "}}}");
    EXPECT_EQ(Join(Stream(*tokenizer, {0}, {1})), one.wanted);
    EXPECT_EQ(Join(Stream(*tokenizer, {0, 0, 1}, {})), "");
  }
}

TEST(StreamDecoderTest, AWordGoesOutBeforeItsSuffix) {
  const auto tokenizer = Make(R"({"decoder": {"type": "BPEDecoder", "suffix": "</w>"},
      "model": {"type": "BPE", "vocab": {"one</w>": 0, "</w>": 1, "a</w>b": 2}, "merges": []}})");
  EXPECT_EQ(Stream(*tokenizer, {}, {0, 0, 1, 2, 2}), (Texts{"one", " one", " ", " a", " ba", "b"}));
  EXPECT_EQ(tokenizer->Decode(Ids{0, 0, 1, 2, 2}, {}), "one one  a bab");
}

TEST(StreamDecoderTest, AddedTokensInThePromptCountWhereTheyAreShown) {
  const auto tokenizer = MakeBytes(kLlamaDecoder, {"▁ok"}, {"<|end|>"});
  const Ids prompt = {kFirstWord + 1};
  EXPECT_EQ(Join(Stream(*tokenizer, prompt, {kFirstWord, kFirstWord + 1})), "ok");
  EXPECT_EQ(Join(Stream(*tokenizer, prompt, {kFirstWord, kFirstWord + 1},
                        {.skip_special_tokens = false})),
            " ok<|end|>");
}

}  // namespace
}  // namespace dray::tokenizer
