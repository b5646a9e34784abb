// Every tokenizer of tests/golden/tokenizers against what Hugging Face's own library made of the
// same texts.
#include <gtest/gtest.h>

#include <algorithm>
#include <filesystem>
#include <map>
#include <string>
#include <vector>

#include "base/file.h"
#include "base/parse/json.h"
#include "base/testing/source_dir.h"
#include "tokenizer/stream_decoder.h"
#include "tokenizer/text/utf8.h"

namespace dray::tokenizer {
namespace {

namespace fs = std::filesystem;

fs::path GoldenDir() { return SourceDir() / "tests/golden/tokenizers"; }

std::vector<std::string> VariantNames() {
  std::vector<std::string> names;
  for (const auto& entry : fs::directory_iterator(GoldenDir())) {
    if (entry.is_directory()) names.push_back(entry.path().filename().string());
  }
  std::sort(names.begin(), names.end());
  return names;
}

std::vector<int32_t> Ids(const Json& json) {
  std::vector<int32_t> ids;
  for (const Json& id : *json.AsArray()) ids.push_back(static_cast<int32_t>(*id.AsInt64()));
  return ids;
}

Json ReadCases(const std::string& variant, const std::string& file) {
  const auto text = ReadFile(GoldenDir() / variant / file, 64 << 20);
  EXPECT_TRUE(text.ok()) << text.status().message();
  auto cases = Json::Parse(text.ok() ? *text : "null");
  EXPECT_TRUE(cases.ok()) << cases.status().message();
  return cases.ok() ? std::move(cases).value() : Json();
}

class GoldenTest : public testing::TestWithParam<std::string> {
 protected:
  void SetUp() override {
    auto tokenizer = Tokenizer::Load(GoldenDir() / GetParam());
    ASSERT_TRUE(tokenizer.ok()) << tokenizer.status().message();
    tokenizer_ = std::move(tokenizer).value();
    cases_ = ReadCases(GetParam(), "cases.json");
    ASSERT_GE(cases_.Find("texts")->AsArray()->size(), 150u);
  }

  // Decode, and a stream whose pieces must be whole characters and join to the same. Bytes that are
  // no text are the one thing that a stream may show in another way.
  void ExpectDecodes(const std::vector<int32_t>& ids, bool skip, const std::string& wanted) {
    const DecodeOptions options{.skip_special_tokens = skip};
    EXPECT_EQ(tokenizer_->Decode(ids, options), wanted);
    const std::string streamed = Stream(StreamDecoder(*tokenizer_, options), ids);
    if (wanted.find(kReplacementUtf8) != std::string::npos) return;
    EXPECT_EQ(streamed, wanted);
    // After a prompt that ends between two characters, what it says is left out, and no more.
    for (size_t cut = 1; cut < ids.size(); ++cut) {
      const std::span<const int32_t> all(ids);
      const std::string prompt = tokenizer_->Decode(all.first(cut), options);
      if (!wanted.starts_with(prompt) || prompt.empty()) continue;
      EXPECT_EQ(Stream(StreamDecoder(*tokenizer_, options, all.first(cut)), all.subspan(cut)),
                wanted.substr(prompt.size()))
          << "after " << cut << " ids";
    }
  }

  static std::string Stream(StreamDecoder stream, std::span<const int32_t> ids) {
    std::string joined;
    for (const int32_t id : ids) {
      const std::string piece = stream.Push(id);
      EXPECT_TRUE(IsValidUtf8(piece));
      joined += piece;
    }
    return joined + stream.Finish();
  }

  std::unique_ptr<Tokenizer> tokenizer_;
  Json cases_;
};

TEST_P(GoldenTest, EncodesAsTheReference) {
  for (const Json& one : *cases_.Find("texts")->AsArray()) {
    const std::string& text = *one.Find("text")->AsString();
    const auto ids = tokenizer_->Encode(text, {});
    ASSERT_TRUE(ids.ok()) << ids.status().message();
    EXPECT_EQ(*ids, Ids(*one.Find("ids"))) << one.Find("text")->Dump();
    const auto plain = tokenizer_->Encode(text, {.add_special_tokens = false});
    ASSERT_TRUE(plain.ok());
    EXPECT_EQ(*plain, Ids(*one.Find("plain_ids"))) << one.Find("text")->Dump();
  }
}

TEST_P(GoldenTest, EncodesPairsAsTheReference) {
  const Json pairs = ReadCases(GetParam(), "pairs.json");
  ASSERT_GE(pairs.AsArray()->size(), 8u);
  for (const Json& pair : *pairs.AsArray()) {
    SCOPED_TRACE(pair.Find("first")->Dump() + " " + pair.Find("second")->Dump());
    const std::string& first = *pair.Find("first")->AsString();
    const std::string& second = *pair.Find("second")->AsString();
    const auto whole = tokenizer_->EncodePair(first, second, {});
    ASSERT_TRUE(whole.ok()) << whole.status().message();
    EXPECT_EQ(whole->ids, Ids(*pair.Find("ids")));
    EXPECT_EQ(whole->type_ids, Ids(*pair.Find("type_ids")));
    const auto plain = tokenizer_->EncodePair(first, second, {.add_special_tokens = false});
    ASSERT_TRUE(plain.ok());
    EXPECT_EQ(plain->ids, Ids(*pair.Find("plain_ids")));
    EXPECT_EQ(plain->type_ids, Ids(*pair.Find("plain_type_ids")));
  }
}

TEST_P(GoldenTest, CutsPairsAsTheReference) {
  const std::map<std::string, TruncationStrategy> strategies = {
      {"longest_first", TruncationStrategy::kLongestFirst},
      {"only_first", TruncationStrategy::kOnlyFirst},
      {"only_second", TruncationStrategy::kOnlySecond}};
  const Json pairs = ReadCases(GetParam(), "pairs.json");
  size_t refused = 0;
  for (const Json& pair : *pairs.AsArray()) {
    for (const Json& cut : *pair.Find("cuts")->AsArray()) {
      SCOPED_TRACE(cut.Dump());
      EncodeOptions options;
      options.truncation = Truncation{.max_ids = static_cast<size_t>(*cut.Find("limit")->AsInt64()),
                                      .strategy = strategies.at(*cut.Find("strategy")->AsString())};
      const auto got = tokenizer_->EncodePair(*pair.Find("first")->AsString(),
                                              *pair.Find("second")->AsString(), options);
      const Json& wanted = *cut.Find("ids");
      EXPECT_EQ(got.ok(), !wanted.is_null());
      if (!got.ok()) {
        ++refused;
      } else if (!wanted.is_null()) {
        EXPECT_EQ(got->ids, Ids(wanted));
      }
    }
  }
  EXPECT_GE(refused, 1u);
}

TEST_P(GoldenTest, DecodesAsTheReference) {
  for (const char* list : {"texts", "random_ids"}) {
    for (const Json& one : *cases_.Find(list)->AsArray()) {
      SCOPED_TRACE(one.Find("ids")->Dump());
      const auto ids = Ids(*one.Find("ids"));
      ExpectDecodes(ids, false, *one.Find("decoded")->AsString());
      ExpectDecodes(ids, true, *one.Find("skipped")->AsString());
    }
  }
}

INSTANTIATE_TEST_SUITE_P(Variants, GoldenTest, testing::ValuesIn(VariantNames()),
                         [](const auto& variant) { return variant.param; });

}  // namespace
}  // namespace dray::tokenizer
