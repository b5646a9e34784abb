// Folders without tokenizer.json of encoders and encoder-decoders: which class reads them, what its configuration changes,
// and what is refused by name.
#include "tokenizer/load/vocab_dir.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <filesystem>
#include <fstream>
#include <string>

#include "base/testing/source_dir.h"
#include "tokenizer/tokenizer.h"

namespace dray::tokenizer {
namespace {

namespace fs = std::filesystem;
using Ids = std::vector<int32_t>;

class VocabDirTest : public testing::Test {
 protected:
  void SetUp() override {
    dir_ = fs::path(testing::TempDir()) / "dray_vocab_dir";
    fs::remove_all(dir_);
    fs::create_directories(dir_);
  }
  void TearDown() override { fs::remove_all(dir_); }

  void Write(const char* name, std::string_view text) { std::ofstream(dir_ / name) << text; }
  void WriteType(const std::string& model_type) {
    Write("config.json", "{\"model_type\": \"" + model_type + "\"}");
  }
  // The small spiece.model of a golden tokenizer.
  void CopySpieceModel(const std::string& name = "t5_files") {
    fs::copy_file(SourceDir() / "tests/golden/tokenizers" / name / "spiece.model",
                  dir_ / "spiece.model");
  }
  std::unique_ptr<Tokenizer> Load() {
    auto tokenizer = Tokenizer::Load(dir_);
    EXPECT_TRUE(tokenizer.ok()) << tokenizer.status().message();
    return tokenizer.ok() ? std::move(tokenizer).value() : nullptr;
  }
  Ids Encode(std::string_view text) {
    const auto tokenizer = Load();
    return tokenizer == nullptr ? Ids{} : tokenizer->Encode(text, {}).value();
  }
  Status Refusal() { return Tokenizer::Load(dir_).status(); }

  fs::path dir_;
};

constexpr std::string_view kBertVocab =
    "[PAD]\n[UNK]\n[CLS]\n[SEP]\n[MASK]\nka\nKa\n##ra\ná\na\n一\n";

TEST_F(VocabDirTest, BertsConfigurationSaysHowTextIsNormalized) {
  struct Case {
    const char* config;
    Ids ids;  // of "Kara á 一一"
  };
  const Case cases[] = {
      {"{}", {2, 5, 7, 9, 10, 10, 3}},
      {R"({"do_lower_case": false})", {2, 6, 7, 8, 10, 10, 3}},
      {R"({"do_lower_case": false, "strip_accents": true})", {2, 6, 7, 9, 10, 10, 3}},
      {R"({"strip_accents": false, "do_basic_tokenize": true})", {2, 5, 7, 8, 10, 10, 3}},
      {R"({"tokenize_chinese_chars": false})", {2, 5, 7, 9, 1, 3}},
      {R"({"cls_token": "[MASK]", "unk_token": "[PAD]", "tokenize_chinese_chars": false})",
       {4, 5, 7, 9, 0, 3}},
  };
  Write("vocab.txt", kBertVocab);
  for (const char* type : {"", "bert", "distilbert", "electra"}) {
    WriteType(type);
    for (const Case& one : cases) {
      Write("tokenizer_config.json", one.config);
      EXPECT_EQ(Encode("Kara á 一一"), one.ids) << one.config;
    }
  }
}

TEST_F(VocabDirTest, LongWordsAreUnknown) {
  Write("vocab.txt", "[PAD]\n[UNK]\n[CLS]\n[SEP]\n[MASK]\na\n##a\n");
  EXPECT_EQ(Encode(std::string(100, 'a')).size(), 102u);
  EXPECT_EQ(Encode(std::string(101, 'a')), (Ids{2, 1, 3}));
}

// Tokens that the vocabulary lacks get ids behind it.
TEST_F(VocabDirTest, MissingSpecialTokensAreAdded) {
  Write("vocab.txt", "a\nb\n");
  EXPECT_EQ(Encode("a[MASK]"), (Ids{5, 0, 6, 3}));
}

TEST_F(VocabDirTest, MpnetsMaskTakesTheSpaceBeforeIt) {
  Write("vocab.txt", "<s>\n<pad>\n</s>\n[UNK]\na\n<mask>\n");
  WriteType("mpnet");
  const auto tokenizer = Load();
  EXPECT_EQ(tokenizer->Encode("a <mask>", {}).value(), (Ids{0, 4, 5, 2}));
  EXPECT_EQ(tokenizer->EncodePair("a", "a", {})->ids, (Ids{0, 4, 2, 2, 4, 2}));
}

TEST_F(VocabDirTest, SentinelsStandBehindThePieces) {
  CopySpieceModel();
  const int32_t pieces = Load()->vocab_size() - 100;
  EXPECT_EQ(Load()->TokenId("<extra_id_0>"), pieces + 99);
  EXPECT_EQ(Encode("<extra_id_99>"), (Ids{pieces, 1}));
  for (const char* type : {"t5", "mt5", "longt5"}) {
    WriteType(type);
    Write("tokenizer_config.json", R"({"tokenizer_class": "T5TokenizerFast", "extra_ids": 2})");
    EXPECT_EQ(Load()->vocab_size(), pieces + 2);
    EXPECT_EQ(Load()->TokenId("<extra_id_1>"), pieces);
  }
  Write("tokenizer_config.json", R"({"extra_ids": 0, "eos_token": "<unk>"})");
  WriteType("t5");
  EXPECT_EQ(Load()->vocab_size(), pieces);
  EXPECT_EQ(Encode(""), Ids{2});
}

// Control pieces and those of a user are tokens of their own, unless a file lists such tokens.
TEST_F(VocabDirTest, PiecesThatAreTokens) {
  CopySpieceModel("mt5_files");
  const auto is_special = [&] { return Load()->IsSpecial(*Load()->TokenId("<|eot_id|>")); };
  EXPECT_TRUE(is_special());
  EXPECT_EQ(Encode("<|eot_id|><s>").size(), 3u);
  for (const char* list : {"null", "[]", "[\"<q>\"]"}) {
    Write("tokenizer_config.json", std::string("{\"additional_special_tokens\": ") + list + "}");
    EXPECT_FALSE(is_special()) << list;
  }
}

TEST_F(VocabDirTest, BadFilesAreRefusedByName) {
  struct Case {
    const char* file;
    const char* text;
    const char* message;
  };
  const Case cases[] = {
      {"vocab.txt", "", "vocab.txt: has 0 lines"},
      {"vocab.txt", "a\n\xFF\n", "vocab.txt: line 2 is not UTF-8"},
      {"spiece.model", "", "spiece.model: has no pieces"},
      {"spiece.model", "version https://git-lfs", "spiece.model: SentencePiece model: "},
      {"tokenizer_config.json", R"({"do_lower_case": "yes"})", "do_lower_case: must be true or"},
      {"tokenizer_config.json", R"({"strip_accents": 1})", "strip_accents: must be true or"},
      {"tokenizer_config.json", R"({"tokenize_chinese_chars": []})", "tokenize_chinese_chars"},
      {"tokenizer_config.json", R"({"extra_ids": -1})", "extra_ids: -1 is outside"},
      {"tokenizer_config.json", R"({"extra_ids": 100001})", "extra_ids: 100001 is outside"},
      {"tokenizer_config.json", R"({"truncation_side": "middle"})",
       "truncation_side: \"middle\" is not one of left, right"},
      {"tokenizer_config.json", R"({"tokenizer_class": "AlbertTokenizer"})",
       "tokenizer_class \"AlbertTokenizer\" does not say"},
      {"config.json", R"({"model_type": "xlnet"})", "model_type \"xlnet\" does not say"},
      {"config.json", R"({"model_type": "bert"})", "vocab.txt"},
  };
  for (const Case& one : cases) {
    SetUp();
    CopySpieceModel();
    fs::remove(dir_ / one.file);
    if (std::string_view(one.file) == "vocab.txt") fs::remove(dir_ / "spiece.model");
    Write(one.file, one.text);
    EXPECT_NE(Refusal().message().find(one.message), std::string::npos)
        << one.text << ": " << Refusal().message();
  }
}

TEST_F(VocabDirTest, HasFiles) {
  EXPECT_FALSE(Tokenizer::HasFiles(dir_));
  EXPECT_EQ(Refusal().code(), StatusCode::kNotFound);
  Write("vocab.txt", kBertVocab);
  EXPECT_TRUE(Tokenizer::HasFiles(dir_));
}

}  // namespace
}  // namespace dray::tokenizer
