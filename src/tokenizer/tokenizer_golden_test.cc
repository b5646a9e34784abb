// Every tokenizer of tests/golden/tokenizers against what Hugging Face's own library made of the
// same texts.
#include <gtest/gtest.h>

#include <algorithm>
#include <filesystem>
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

class GoldenTest : public testing::TestWithParam<std::string> {
 protected:
  void SetUp() override {
    auto tokenizer = Tokenizer::Load(GoldenDir() / GetParam());
    ASSERT_TRUE(tokenizer.ok()) << tokenizer.status().message();
    tokenizer_ = std::move(tokenizer).value();
    const auto text = ReadFile(GoldenDir() / GetParam() / "cases.json", 64 << 20);
    ASSERT_TRUE(text.ok());
    auto cases = Json::Parse(*text);
    ASSERT_TRUE(cases.ok());
    cases_ = std::move(cases).value();
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
