// Tokenizers in GGUF metadata, which the `gguf` package wrote, against the ids of Hugging Face's
// library with the tokenizer.json that they were made from.
#include <gtest/gtest.h>

#include <algorithm>
#include <filesystem>
#include <string>
#include <vector>

#include "base/file.h"
#include "base/parse/json.h"
#include "base/testing/source_dir.h"
#include "checkpoint/checkpoint.h"
#include "tokenizer/tokenizer.h"

namespace dray::tokenizer {
namespace {

namespace fs = std::filesystem;

fs::path GoldenDir() { return SourceDir() / "tests/golden"; }

std::vector<int32_t> Ids(const Json& json) {
  std::vector<int32_t> ids;
  for (const Json& id : *json.AsArray()) ids.push_back(static_cast<int32_t>(*id.AsInt64()));
  return ids;
}

// Texts with added tokens that take the spaces beside them along, or that must stand alone. GGUF
// files cannot express either.
bool IsLost(const std::string& text) {
  constexpr const char* kTokens[] = {"<|LSTRIP|>", "<|RSTRIP|>", "<|WORD|>", "Madeup Token",
                                     "[MASK]"};
  return std::any_of(std::begin(kTokens), std::end(kTokens),
                     [&](const char* token) { return text.find(token) != std::string::npos; });
}

class GgufTokenizerTest : public testing::TestWithParam<std::string> {
 protected:
  void SetUp() override {
    const auto metadata =
        checkpoint::ReadMetadata(GoldenDir() / "gguf" / ("tokenizer-" + GetParam() + ".gguf"));
    ASSERT_TRUE(metadata.ok()) << metadata.status().message();
    auto tokenizer = Tokenizer::FromGguf(*metadata);
    ASSERT_TRUE(tokenizer.ok()) << tokenizer.status().message();
    tokenizer_ = std::move(tokenizer).value();
    cases_ =
        Json::Parse(*ReadFile(GoldenDir() / "tokenizers" / GetParam() / "cases.json", 64 << 20))
            .value();
  }

  std::unique_ptr<Tokenizer> tokenizer_;
  Json cases_;
};

TEST_P(GgufTokenizerTest, EncodesAsTheOriginal) {
  size_t compared = 0;
  for (const Json& one : *cases_.Find("texts")->AsArray()) {
    const std::string& text = *one.Find("text")->AsString();
    if (IsLost(text)) continue;
    ++compared;
    const auto ids = tokenizer_->Encode(text, {});
    ASSERT_TRUE(ids.ok()) << ids.status().message();
    EXPECT_EQ(*ids, Ids(*one.Find("ids"))) << one.Find("text")->Dump();
    const auto plain = tokenizer_->Encode(text, {.add_special_tokens = false});
    ASSERT_TRUE(plain.ok());
    EXPECT_EQ(*plain, Ids(*one.Find("plain_ids"))) << one.Find("text")->Dump();
  }
  EXPECT_GE(compared, 100u);
}

TEST_P(GgufTokenizerTest, DecodesAsTheOriginal) {
  for (const char* list : {"texts", "random_ids"}) {
    for (const Json& one : *cases_.Find(list)->AsArray()) {
      const auto ids = Ids(*one.Find("ids"));
      EXPECT_EQ(tokenizer_->Decode(ids, {.skip_special_tokens = false}),
                *one.Find("decoded")->AsString());
      EXPECT_EQ(tokenizer_->Decode(ids, {.skip_special_tokens = true}),
                *one.Find("skipped")->AsString());
    }
  }
}

INSTANTIATE_TEST_SUITE_P(Files, GgufTokenizerTest,
                         testing::Values("bert_cased", "bert_files", "bloom", "gpt2", "llama2",
                                         "llama3", "mt5_files", "qwen2", "t5_files"),
                         [](const auto& name) { return name.param; });

// The metadata of a golden file with one key changed.
Json MetadataOf(const std::string& name, const std::string& key, Json value) {
  Json metadata =
      checkpoint::ReadMetadata(GoldenDir() / "gguf" / ("tokenizer-" + name + ".gguf")).value();
  metadata.Set("tokenizer.ggml." + key, std::move(value));
  return metadata;
}

Json Metadata(const std::string& key, Json value) {
  return MetadataOf("llama2", key, std::move(value));
}

TEST(GgufTokenizerSettingsTest, BeginAndEnd) {
  const auto ids = [](const std::string& key, Json value) {
    return (*Tokenizer::FromGguf(Metadata(key, std::move(value))))->Encode("a", {}).value();
  };
  const auto usual = ids("add_eos_token", false);
  EXPECT_EQ(usual.front(), 1);
  const auto without = ids("add_bos_token", false);
  EXPECT_EQ(without, std::vector<int32_t>(usual.begin() + 1, usual.end()));
  auto with_end = usual;
  with_end.push_back(2);
  EXPECT_EQ(ids("add_eos_token", true), with_end);
}

TEST(GgufTokenizerSettingsTest, NoBlankInFront) {
  const auto with = Tokenizer::FromGguf(Metadata("add_space_prefix", true)).value();
  const auto without = Tokenizer::FromGguf(Metadata("add_space_prefix", false)).value();
  EXPECT_EQ(with->Encode("the", {}).value(), without->Encode(" the", {}).value());
  EXPECT_NE(with->Encode("the", {}).value(), without->Encode("the", {}).value());
  EXPECT_EQ(without->Decode(without->Encode(" the", {}).value(), {}), " the");
}

struct Refusal {
  std::string key;
  Json value;
  StatusCode code;
};

TEST(GgufTokenizerSettingsTest, RefusalsNameTheKey) {
  const Refusal refusals[] = {
      {"model", "rwkv", StatusCode::kUnsupported},
      {"model", 3, StatusCode::kInvalidArgument},
      {"tokens", Json::MakeArray(), StatusCode::kResourceExhausted},
      {"tokens", "text", StatusCode::kInvalidArgument},
      {"tokens", Json(Json::Array{1}), StatusCode::kInvalidArgument},
      {"token_type", Json(Json::Array{1}), StatusCode::kCorrupt},
      {"scores", Json(Json::Array{1}), StatusCode::kCorrupt},
      {"bos_token_id", "1", StatusCode::kInvalidArgument},
      {"add_bos_token", 1, StatusCode::kInvalidArgument},
  };
  for (const Refusal& refusal : refusals) {
    const auto tokenizer = Tokenizer::FromGguf(Metadata(refusal.key, refusal.value));
    EXPECT_EQ(tokenizer.status().code(), refusal.code) << refusal.key;
    EXPECT_EQ(tokenizer.status().message().find("tokenizer.ggml." + refusal.key), 0u)
        << tokenizer.status().message();
  }
}

TEST(GgufTokenizerSettingsTest, EncodersRefusalsNameTheKey) {
  const Json::Array few(5, Json(3));
  const Refusal t5[] = {
      {"scores", nullptr, StatusCode::kInvalidArgument},
      {"scores", Json(Json::Array{1}), StatusCode::kCorrupt},
      {"precompiled_charsmap", "abc", StatusCode::kInvalidArgument},
      {"precompiled_charsmap", Json(Json::Array{256}), StatusCode::kInvalidArgument},
      {"precompiled_charsmap", Json(Json::Array{"a"}), StatusCode::kInvalidArgument},
      {"precompiled_charsmap", Json(few), StatusCode::kCorrupt},
      {"add_space_prefix", false, StatusCode::kUnsupported},
      {"remove_extra_whitespaces", false, StatusCode::kUnsupported},
      {"add_eos_token", "yes", StatusCode::kInvalidArgument},
  };
  const Refusal bert[] = {
      {"unknown_token_id", "[UNK]", StatusCode::kInvalidArgument},
      {"seperator_token_id", "[SEP]", StatusCode::kInvalidArgument},
      {"normalizer.lowercase", 1, StatusCode::kInvalidArgument},
      {"normalizer.strip_accents", "no", StatusCode::kInvalidArgument},
      {"add_sep_token", 2, StatusCode::kInvalidArgument},
  };
  const auto expect = [](const std::string& name, const Refusal& refusal) {
    const auto tokenizer = Tokenizer::FromGguf(MetadataOf(name, refusal.key, refusal.value));
    EXPECT_EQ(tokenizer.status().code(), refusal.code) << refusal.key;
    EXPECT_EQ(tokenizer.status().message().find("tokenizer.ggml." + refusal.key), 0u)
        << tokenizer.status().message();
  };
  for (const Refusal& refusal : t5) expect("t5_files", refusal);
  for (const Refusal& refusal : bert) expect("bert_files", refusal);
}

TEST(GgufTokenizerSettingsTest, BertsCase) {
  const auto tokens = [](const std::string& key, bool value) {
    const auto tokenizer = Tokenizer::FromGguf(MetadataOf("bert_files", key, value)).value();
    return tokenizer->Encode("KA \u00e9", {}).value();
  };
  const auto usual = tokens("normalizer.lowercase", true);
  EXPECT_NE(tokens("normalizer.lowercase", false), usual);
  EXPECT_NE(tokens("normalizer.strip_accents", false), usual);
  EXPECT_EQ(tokens("normalizer.strip_accents", true), usual);
}

TEST(GgufTokenizerSettingsTest, PairsOfEncoders) {
  const auto pair = [](const std::string& name, const std::string& key, Json value) {
    const auto tokenizer = Tokenizer::FromGguf(MetadataOf(name, key, std::move(value))).value();
    return tokenizer->EncodePair("", "", {}).value();
  };
  using Ids = std::vector<int32_t>;
  EXPECT_EQ(pair("bert_files", "add_bos_token", true).ids, (Ids{2, 3, 3}));
  EXPECT_EQ(pair("bert_files", "add_bos_token", true).type_ids, (Ids{0, 0, 1}));
  EXPECT_EQ(pair("bert_files", "add_sep_token", true).ids, (Ids{2, 3, 3, 3}));
  EXPECT_EQ(pair("t5_files", "add_eos_token", true).ids, (Ids{1, 1}));
  EXPECT_EQ(pair("t5_files", "add_eos_token", false).ids, Ids{});
}

TEST(GgufTokenizerSettingsTest, UnknownWordRulesAreRefused) {
  Json metadata = checkpoint::ReadMetadata(GoldenDir() / "gguf" / "tokenizer-gpt2.gguf").value();
  metadata.Set("tokenizer.ggml.pre", "kimi-k2");
  const auto tokenizer = Tokenizer::FromGguf(metadata);
  EXPECT_EQ(tokenizer.status().code(), StatusCode::kUnsupported);
  EXPECT_NE(tokenizer.status().message().find("\"kimi-k2\" is not one of"), std::string::npos);
}

}  // namespace
}  // namespace dray::tokenizer
