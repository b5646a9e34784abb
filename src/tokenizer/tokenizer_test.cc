#include "tokenizer/tokenizer.h"

#include <gtest/gtest.h>

#include <chrono>
#include <fstream>
#include <string>
#include <thread>

namespace dray::tokenizer {
namespace {

using Ids = std::vector<int32_t>;

std::unique_ptr<Tokenizer> Make(const std::string& json) {
  auto tokenizer = Tokenizer::FromJson(json);
  EXPECT_TRUE(tokenizer.ok()) << tokenizer.status().message();
  return tokenizer.ok() ? std::move(tokenizer).value() : nullptr;
}

Ids Encode(const Tokenizer& tokenizer, std::string_view text) {
  const auto ids = tokenizer.Encode(text, {});
  EXPECT_TRUE(ids.ok()) << ids.status().message();
  return ids.ok() ? *ids : Ids{};
}

constexpr std::string_view kModel =
    R"("model": {"type": "BPE", "vocab": {"a": 0, "b": 1, "c": 2, "ab": 3, "abc": 4, "<u>": 5},
       "merges": [["a", "b"], ["ab", "c"]], "unk_token": "<u>"})";

std::string File(std::string_view fields) {
  return "{" + std::string(fields) + (fields.empty() ? "" : ", ") + std::string(kModel) + "}";
}

TEST(TokenizerTest, MergesByRankFromTheLeft) {
  const auto tokenizer = Make(File(""));
  EXPECT_EQ(Encode(*tokenizer, "abcab"), (Ids{4, 3}));
  EXPECT_EQ(Encode(*tokenizer, "axb"), (Ids{0, 5, 1}));
  EXPECT_EQ(Encode(*tokenizer, "xx"), (Ids{5, 5}));
  EXPECT_EQ(Encode(*tokenizer, ""), Ids{});
  EXPECT_EQ(tokenizer->Decode(Ids{4, 3}, {}), "abc ab");
  EXPECT_EQ(tokenizer->vocab_size(), 6);
  EXPECT_EQ(tokenizer->TokenId("abc"), 4);
  EXPECT_EQ(tokenizer->TokenText(3), "ab");
  EXPECT_FALSE(tokenizer->TokenText(6).has_value());
  EXPECT_FALSE(tokenizer->TokenText(-1).has_value());
}

// Words above the scanning limit go through the heap: the same ids.
TEST(TokenizerTest, LongWordsMergeAsShortOnes) {
  const auto whole = Make(File(""));
  const auto cut = Make(File(R"j("pre_tokenizer": {"type": "Split", "pattern": {"Regex": "(?<=c)"},
                                  "behavior": "Isolated", "invert": false})j"));
  std::string text;
  for (int i = 0; i < 300; ++i) text += i % 3 == 0 ? "abc" : i % 3 == 1 ? "bac" : "aac";
  EXPECT_EQ(Encode(*whole, text), Encode(*cut, text));
}

TEST(TokenizerTest, BytesThatAreNoTextCountAsReplacementCharacters) {
  const auto tokenizer = Make(File(""));
  EXPECT_EQ(Encode(*tokenizer,
                   "a\xFF"
                   "b"),
            Encode(*tokenizer,
                   "a\xEF\xBF\xBD"
                   "b"));
}

TEST(TokenizerTest, AddedTokensMatchLeftmostLongest) {
  const auto tokenizer = Make(File(R"("added_tokens": [
      {"id": 6, "content": "ab", "normalized": false, "special": true},
      {"id": 7, "content": "abca", "normalized": false, "special": false},
      {"id": 99, "content": "bb", "single_word": true, "normalized": false, "special": false}])"));
  EXPECT_EQ(Encode(*tokenizer, "cab"), (Ids{2, 3}));  // "ab" is a token of the model: keeps its id
  EXPECT_EQ(Encode(*tokenizer, "abcab"), (Ids{6, 1}));  // the longer wins; ids are given in order
  EXPECT_EQ(Encode(*tokenizer, "bb abb"), (Ids{7, 5, 3, 1}));
  EXPECT_EQ(tokenizer->Decode(Ids{3, 6}, {}), "abca");
  EXPECT_TRUE(tokenizer->IsSpecial(3));
  EXPECT_FALSE(tokenizer->IsSpecial(6));
}

TEST(TokenizerTest, NormalizedAddedTokensMatchNormalizedText) {
  const auto tokenizer = Make(File(R"("normalizer": {"type": "Lowercase"}, "added_tokens": [
      {"id": 6, "content": "CAB", "normalized": true, "special": false},
      {"id": 7, "content": "ACA", "normalized": false, "special": false}])"));
  EXPECT_EQ(Encode(*tokenizer, "cAb"), Ids{6});
  EXPECT_EQ(Encode(*tokenizer, "ACA"), Ids{7});
  EXPECT_EQ(Encode(*tokenizer, "aca"), (Ids{0, 2, 0}));
  EXPECT_EQ(tokenizer->Decode(Ids{6, 7}, {}), "cab ACA");
}

TEST(TokenizerTest, UnknownCharactersFuseOnDemand) {
  const auto tokenizer = Make(R"({"model": {"type": "BPE", "vocab": {"a": 0, "?": 1}, "merges": [],
      "unk_token": "?", "fuse_unk": true}})");
  EXPECT_EQ(Encode(*tokenizer, "xyaz"), (Ids{1, 0, 1}));
  const auto silent = Make(R"({"model": {"type": "BPE", "vocab": {"a": 0}, "merges": []}})");
  EXPECT_EQ(Encode(*silent, "xaz"), Ids{0});
}

TEST(TokenizerTest, IgnoreMergesTakesWholePieces) {
  const std::string vocab = R"("vocab": {"a": 0, "b": 1, "ab": 2, "bab": 3}, "merges": ["a b"])";
  const auto with = Make(R"({"model": {"type": "BPE", "ignore_merges": true, )" + vocab + "}}");
  const auto without = Make(R"({"model": {"type": "BPE", )" + vocab + "}}");
  EXPECT_EQ(Encode(*with, "bab"), Ids{3});
  EXPECT_EQ(Encode(*with, "babb"), (Ids{1, 2, 1}));
  EXPECT_EQ(Encode(*without, "bab"), (Ids{1, 2}));
}

// An unknown character scores 10 below the worst token: -20 here, so 5 - 20 loses against -10.
TEST(TokenizerTest, UnigramTakesTheBestSum) {
  const auto tokenizer = Make(R"({"model": {"type": "Unigram", "unk_id": 0, "vocab":
      [["?", 0], ["a", 5], ["ab", -10], ["c", -3], ["cc", -5], ["ccc", -8.5]]}})");
  EXPECT_EQ(Encode(*tokenizer, "ab"), Ids{2});
  EXPECT_EQ(Encode(*tokenizer, "ax"), (Ids{1, 0}));
  EXPECT_EQ(Encode(*tokenizer, "xya"), (Ids{0, 1}));  // unknown neighbours are one token
  EXPECT_EQ(Encode(*tokenizer, "ccc"), (Ids{3, 4}));  // equal sums: the first found stays
}

struct Refusal {
  std::string file;
  std::string part_of_message;
};

TEST(TokenizerTest, RefusalsNameTheField) {
  const Refusal refusals[] = {
      {"[]", "must be an object"},
      {"{}", "\"model\" is missing"},
      {R"({"model": {"type": "Magic"}})", "model.type: \"Magic\" is not one of BPE"},
      {R"({"version": "2.0"})", "version"},
      {File(R"("normalizer": {"type": "Rot13"})"), "normalizer.type: \"Rot13\""},
      {File(
           R"("normalizer": {"type": "Sequence", "normalizers": [{"type": "NFC"}, {"type": "X"}]})"),
       "normalizer.normalizers[1].type: \"X\""},
      {File(R"("normalizer": {"type": "Replace", "pattern": {"Regex": "("}, "content": ""})"),
       "normalizer.pattern: the pattern does not compile"},
      {File(R"("normalizer": {"type": "Precompiled", "precompiled_charsmap": "AAA"})"),
       "precompiled_charsmap"},
      {File(R"("normalizer": {"type": "Precompiled", "precompiled_charsmap": "/////w=="})"),
       "declares a trie of 4294967295 bytes"},
      {File(R"("pre_tokenizer": {"type": "UnicodeScripts"})"), "pre_tokenizer.type"},
      {File(R"("pre_tokenizer": {"type": "Metaspace", "replacement": "__"})"),
       "must be one character"},
      {File(
           R"("pre_tokenizer": {"type": "Split", "pattern": {"String": "a"}, "behavior": "Melted"})"),
       "\"Melted\" is not one of Removed"},
      {File(R"("decoder": {"type": "Nope"})"), "decoder.type: \"Nope\""},
      {File(R"("post_processor": {"type": "Nope"})"), "post_processor.type: \"Nope\""},
      {File(R"("post_processor": {"type": "BertProcessing", "sep": ["x", 77], "cls": ["y", 1]})"),
       "adds the id 77, but the largest id of the vocabulary is 5"},
      {File(R"("post_processor": {"type": "TemplateProcessing", "special_tokens": {},
              "single": [{"SpecialToken": {"id": "<s>", "type_id": 0}}]})"),
       "\"<s>\" is missing"},
      {R"({"model": {"type": "BPE", "vocab": {"a": -1}, "merges": []}})", "the id of \"a\" is -1"},
      {R"({"model": {"type": "BPE", "vocab": {"a": 4000000}, "merges": []}})", "0..3999999"},
      {R"({"model": {"type": "BPE", "vocab": {"a": 0}, "merges": ["a b c"]}})", "not two tokens"},
      {R"({"model": {"type": "BPE", "vocab": {"a": 0}, "merges": [["a", "b"]]}})",
       "merges[0] needs the token \"b\""},
      {R"({"model": {"type": "BPE", "vocab": {"a": 0}, "merges": [], "dropout": 0.1}})",
       "model.dropout"},
      {R"({"model": {"type": "Unigram", "vocab": [["a", 0]], "unk_id": 1}})", "model.unk_id"},
      {R"({"model": {"type": "WordPiece", "vocab": {}}})", "\"unk_token\" is missing"},
  };
  for (const Refusal& refusal : refusals) {
    const auto tokenizer = Tokenizer::FromJson(refusal.file);
    ASSERT_FALSE(tokenizer.ok()) << refusal.file;
    EXPECT_NE(tokenizer.status().message().find(refusal.part_of_message), std::string::npos)
        << tokenizer.status().message() << "\nwanted: " << refusal.part_of_message;
  }
}

TEST(TokenizerTest, TextsThatGrowTooMuchAreRefused) {
  const auto tokenizer = Make(File(R"("normalizer": {"type": "Sequence", "normalizers": [
      {"type": "Replace", "pattern": {"String": "a"}, "content": "aaaaaaaaaa"},
      {"type": "Replace", "pattern": {"String": "a"}, "content": "aaaaaaaaaa"}]})"));
  EXPECT_TRUE(tokenizer->Encode("aa", {}).ok());
  const auto refused = tokenizer->Encode(std::string(200000, 'a'), {});
  ASSERT_FALSE(refused.ok());
  EXPECT_EQ(refused.status().code(), StatusCode::kResourceExhausted);
}

TEST(TokenizerTest, UnknownCharactersNeedAnUnknownToken) {
  const auto tokenizer =
      Make(R"({"model": {"type": "WordLevel", "vocab": {"a": 0}, "unk_token": "?"}})");
  EXPECT_EQ(Encode(*tokenizer, "a"), Ids{0});
  const auto refused = tokenizer->Encode("b", {});
  ASSERT_FALSE(refused.ok());
  EXPECT_NE(refused.status().message().find("unk_token \"?\""), std::string::npos);
}

TEST(TokenizerTest, OneTokenizerServesManyThreads) {
  const auto tokenizer = Make(File(R"("pre_tokenizer": {"type": "Whitespace"})"));
  std::string text;
  for (int i = 0; i < 2000; ++i) text += i % 2 == 0 ? "abc " : "cab ";
  const Ids expected = Encode(*tokenizer, text);
  std::vector<std::thread> threads;
  std::vector<Ids> results(4);
  threads.reserve(results.size());
  for (Ids& result : results) {
    threads.emplace_back([&] { result = *tokenizer->Encode(text, {}); });
  }
  for (std::thread& thread : threads) thread.join();
  for (const Ids& result : results) EXPECT_EQ(result, expected);
}

// Repetitive texts that make careless matching quadratic.
TEST(TokenizerTest, WorkIsBoundedOnRepetitiveText) {
  const auto tokenizer = Make(File(R"("added_tokens": [
      {"id": 6, "content": " ", "rstrip": true, "lstrip": true, "normalized": false, "special": false},
      {"id": 7, "content": "aaaaaaaaaaaaaaaaaaaaaaab", "normalized": false, "special": false}])"));
  const auto start = std::chrono::steady_clock::now();
  EXPECT_TRUE(tokenizer->Encode(std::string(1 << 20, 'a'), {}).ok());
  EXPECT_TRUE(tokenizer->Encode(std::string(1 << 20, ' '), {}).ok());
  EXPECT_LT(std::chrono::steady_clock::now() - start, std::chrono::seconds(20));
}

// Every kind of model, and patterns, ask in long work whether the ids are still wanted, and end if not.
TEST(TokenizerTest, LongWorkEndsWhenItIsCancelled) {
  constexpr size_t kBytes = size_t{1} << 20;
  const std::string words = File(R"("pre_tokenizer": {"type": "WhitespaceSplit"})");
  const std::string hostile = File(R"j("pre_tokenizer": {"type": "Split",
      "pattern": {"Regex": "(?=(a+))\\1+b"}, "behavior": "Isolated", "invert": false})j");
  const std::string word_level = R"({"pre_tokenizer": {"type": "WhitespaceSplit"}, "model":
      {"type": "WordLevel", "vocab": {"ab": 0, "<u>": 1}, "unk_token": "<u>"}})";
  const std::string word_piece = R"({"pre_tokenizer": {"type": "WhitespaceSplit"}, "model":
      {"type": "WordPiece", "vocab": {"a": 0, "##b": 1, "<u>": 2}, "unk_token": "<u>",
       "continuing_subword_prefix": "##", "max_input_chars_per_word": 100}})";
  const std::string unigram = R"({"model": {"type": "Unigram", "unk_id": 0,
      "vocab": [["<u>", 0.0], ["a", -1.0], ["b", -1.5], ["ab", -2.0]]}})";
  struct Case {
    std::string json;
    const char* unit;
  };
  for (const Case& one : {Case{File(""), "ab"}, Case{words, "ab "}, Case{hostile, "a"},
                          Case{word_level, "ab "}, Case{word_piece, "ab "}, Case{unigram, "ab"}}) {
    SCOPED_TRACE(one.json.substr(0, 200) + one.unit);
    const auto tokenizer = Make(one.json);
    std::string text;
    while (text.size() < kBytes) text += one.unit;
    for (const int asked_before : {0, 3}) {
      int num_asked = 0;
      const auto ids =
          tokenizer->Encode(text, {.is_cancelled = [&] { return num_asked++ >= asked_before; }});
      ASSERT_FALSE(ids.ok());
      EXPECT_EQ(ids.status().code(), StatusCode::kCancelled) << ids.status().message();
      // Once it has been told, it does not go on.
      EXPECT_EQ(num_asked, asked_before + 1);
    }
  }
  // Who goes on waiting gets the same ids as without being asked.
  const auto tokenizer = Make(words);
  std::string text;
  while (text.size() < kBytes) text += "abc ab c ";
  int num_asked = 0;
  const auto ids = tokenizer->Encode(text, {.is_cancelled = [&] { return ++num_asked < 0; }});
  ASSERT_TRUE(ids.ok());
  EXPECT_EQ(*ids, Encode(*tokenizer, text));
  EXPECT_GE(num_asked, 8);
}

// Each word alone is within the limits of one search; the request as a whole is not.
TEST(TokenizerTest, HostilePatternsShareOneBudget) {
  const auto tokenizer = Make(File(R"j("pre_tokenizer": {"type": "Sequence", "pretokenizers": [
      {"type": "WhitespaceSplit"}, {"type": "Split", "pattern": {"Regex": "(a|aa)+$"},
       "behavior": "Isolated", "invert": false}]})j"));
  std::string text;
  for (int i = 0; i < 10000; ++i) text += std::string(26, 'a') + "b ";
  const auto start = std::chrono::steady_clock::now();
  const auto refused = tokenizer->Encode(text, {});
  EXPECT_LT(std::chrono::steady_clock::now() - start, std::chrono::seconds(60));
  ASSERT_FALSE(refused.ok());
  EXPECT_EQ(refused.status().code(), StatusCode::kDeadlineExceeded);
}

class ModelDirTest : public testing::Test {
 protected:
  void SetUp() override {
    dir_ = std::filesystem::path(testing::TempDir()) /
           ("dray_tokenizer_" +
            std::string(testing::UnitTest::GetInstance()->current_test_info()->name()));
    std::filesystem::remove_all(dir_);
    std::filesystem::create_directories(dir_);
  }
  void TearDown() override { std::filesystem::remove_all(dir_); }
  void Write(const char* name, std::string_view text) { std::ofstream(dir_ / name) << text; }

  std::filesystem::path dir_;
};

TEST_F(ModelDirTest, ReadsVocabAndMerges) {
  Write("vocab.json", R"({"a": 0, "b": 1, "ab": 2, "Ġ": 3, "<e>": 4})");
  Write("merges.txt", "#version: 0.2\na b\n");
  Write("tokenizer_config.json", R"({"bos_token": "<e>", "eos_token": {"content": "<e>"},
                                     "add_bos_token": true, "unk_token": "<e>"})");
  auto tokenizer = Tokenizer::Load(dir_);
  ASSERT_TRUE(tokenizer.ok()) << tokenizer.status().message();
  EXPECT_EQ(Encode(**tokenizer, "ab a<e>"), (Ids{4, 2, 3, 0, 4}));
  EXPECT_EQ((*tokenizer)->bos_id(), 4);
  EXPECT_EQ((*tokenizer)->eos_id(), 4);
  EXPECT_EQ((*tokenizer)->Decode(Ids{4, 2, 3, 0}, {}), "ab a");
}

// vocab.json and merges.txt do not say how text is cut: the tokenizer's class does.
TEST_F(ModelDirTest, TheClassSaysHowVocabAndMergesAreUsed) {
  Write("vocab.json", R"({"a": 0, "1": 1, "11": 2, "Ġ": 3, "Ì": 4, "Ģ": 5, "Ã": 6, "ł": 7,
                          "<|endoftext|>": 8})");
  Write("merges.txt", "#version: 0.2\n1 1\n");
  struct Case {
    const char* config;
    const char* model_type;
    Ids ids;  // of "11" and of a letter with a grave accent behind it
  };
  const Ids gpt2 = {2, 0, 4, 5};
  const Ids neox = {2, 6, 7};
  const Ids qwen2 = {1, 1, 6, 7};
  const Case cases[] = {
      {R"({"tokenizer_class": "Qwen2Tokenizer"})", "qwen2", qwen2},
      {R"({"tokenizer_class": "Qwen2TokenizerFast"})", "llama", qwen2},
      {"{}", "qwen3", qwen2},
      {"{}", "qwen2", qwen2},
      // These types have one class, whatever the file says.
      {R"({"tokenizer_class": "GPT2Tokenizer"})", "qwen2", qwen2},
      {R"({"tokenizer_class": "GPTNeoXTokenizer"})", "llama", neox},
      {"{}", "gpt_neox", neox},
      {R"({"tokenizer_class": "GPT2TokenizerFast"})", "llama", gpt2},
      {R"({"tokenizer_class": "CodeGenTokenizer"})", "codegen", gpt2},
      {"{}", "gptj", gpt2},
      {"{}", "opt", gpt2},
      {"{}", "", gpt2},
  };
  for (const Case& one : cases) {
    SCOPED_TRACE(std::string(one.config) + " " + one.model_type);
    Write("tokenizer_config.json", one.config);
    Write("config.json", std::string("{\"model_type\": \"") + one.model_type + "\"}");
    auto tokenizer = Tokenizer::Load(dir_);
    ASSERT_TRUE(tokenizer.ok()) << tokenizer.status().message();
    EXPECT_EQ(Encode(**tokenizer, "11a\u0300"), one.ids);
    EXPECT_EQ((*tokenizer)->eos_id(), 8);
    EXPECT_TRUE((*tokenizer)->IsSpecial(8));
  }
}

TEST_F(ModelDirTest, ClassesThatUseVocabAndMergesInOtherWaysAreRefusedByName) {
  Write("vocab.json", R"({"a": 0})");
  Write("merges.txt", "#version: 0.2\n");
  for (const char* name : {"WhisperTokenizer", "CLIPTokenizer", "DebertaTokenizer",
                           "Qwen3_5Tokenizer", "LlamaTokenizer", "PreTrainedTokenizer"}) {
    Write("tokenizer_config.json", std::string("{\"tokenizer_class\": \"") + name + "\"}");
    const auto tokenizer = Tokenizer::Load(dir_);
    EXPECT_EQ(tokenizer.status().code(), StatusCode::kUnsupported) << name;
    EXPECT_NE(tokenizer.status().message().find(name), std::string::npos);
  }
  Write("tokenizer_config.json", "{}");
  for (const char* type : {"llama", "mistral", "bloom", "whisper"}) {
    Write("config.json", std::string("{\"model_type\": \"") + type + "\"}");
    const auto tokenizer = Tokenizer::Load(dir_);
    EXPECT_EQ(tokenizer.status().code(), StatusCode::kUnsupported) << type;
    EXPECT_NE(tokenizer.status().message().find(type), std::string::npos);
  }
}

TEST_F(ModelDirTest, ErrorsNameTheFile) {
  auto nothing = Tokenizer::Load(dir_);
  ASSERT_FALSE(nothing.ok());
  EXPECT_EQ(nothing.status().code(), StatusCode::kNotFound);
  EXPECT_NE(nothing.status().message().find("neither tokenizer.json nor vocab.json"),
            std::string::npos);
  Write("tokenizer.json", "{\"model\": 7}");
  auto bad = Tokenizer::Load(dir_);
  ASSERT_FALSE(bad.ok());
  EXPECT_NE(bad.status().message().find("tokenizer.json: model: must be an object"),
            std::string::npos);
  Write("tokenizer_config.json", "{\"add_bos_token\": 1}");
  auto config = Tokenizer::Load(dir_);
  ASSERT_FALSE(config.ok());
  EXPECT_NE(config.status().message().find("tokenizer_config.json: add_bos_token"),
            std::string::npos);
}

}  // namespace
}  // namespace dray::tokenizer
