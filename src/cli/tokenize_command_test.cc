#include "cli/tokenize_command.h"

#include <gtest/gtest.h>

#include <fstream>
#include <sstream>

namespace dray::cli {
namespace {

class TokenizeCommandTest : public testing::Test {
 protected:
  void SetUp() override {
    dir_ = std::filesystem::path(testing::TempDir()) / "dray_tokenize_command";
    std::filesystem::create_directories(dir_);
    std::ofstream(dir_ / "tokenizer.json") << R"({"decoder": {"type": "ByteLevel"},
        "pre_tokenizer": {"type": "ByteLevel", "add_prefix_space": false},
        "added_tokens": [{"id": 3, "content": "<e>", "special": true}],
        "model": {"type": "BPE", "vocab": {"a": 0, "Ġ": 1, "Ġa": 2, "<e>": 3}, "merges": ["Ġ a"]}})";
    options_.model_dir = dir_;
  }
  void TearDown() override { std::filesystem::remove_all(dir_); }

  int Run(const std::string& input) {
    std::istringstream in(input);
    out_.str("");
    err_.str("");
    return RunTokenize(options_, in, out_, err_);
  }

  std::filesystem::path dir_;
  TokenizeOptions options_;
  std::ostringstream out_;
  std::ostringstream err_;
};

TEST_F(TokenizeCommandTest, LinesOfJson) {
  options_.format = TokenizeFormat::kJsonl;
  EXPECT_EQ(Run("\"a a\"\n\"\"\n\"<e>\"\n"), 0);
  EXPECT_EQ(out_.str(), "[0,2]\n[]\n[3]\n");
  options_.direction = TokenizeDirection::kDecode;
  EXPECT_EQ(Run("[0, 2]\n[3]\n"), 0);
  EXPECT_EQ(out_.str(), "\"a a\"\n\"<e>\"\n");
  options_.skip_special_tokens = true;
  EXPECT_EQ(Run("[3,0]\n"), 0);
  EXPECT_EQ(out_.str(), "\"a\"\n");
}

TEST_F(TokenizeCommandTest, BadLinesAreNamed) {
  options_.format = TokenizeFormat::kJsonl;
  EXPECT_EQ(Run("\"a\"\n[1]\n"), 1);
  EXPECT_EQ(out_.str(), "[0]\n");
  EXPECT_EQ(err_.str(),
            "dray tokenize: line 2: expected a JSON string or an array of two, got a array\n");
  options_.direction = TokenizeDirection::kDecode;
  EXPECT_EQ(Run("[1.5]\n"), 1);
  EXPECT_EQ(err_.str(), "dray tokenize: line 1: 1.5 is not a token id\n");
  EXPECT_EQ(Run("[-1]\n"), 1);
  EXPECT_EQ(Run("nonsense\n"), 1);
}

TEST_F(TokenizeCommandTest, TableForPeople) {
  options_.text = "a a<e>";
  EXPECT_EQ(Run(""), 0);
  EXPECT_EQ(out_.str(),
            " place     id  token                     text\n"
            "     0      0  \"a\"                       \"a\"\n"
            "     1      2  \"Ġa\"                      \" a\"\n"
            "     2      3  \"<e>\"                     \"<e>\"  special\n"
            "3 tokens\n");
  options_.direction = TokenizeDirection::kDecode;
  options_.text = "[0, 2] 3";
  EXPECT_EQ(Run(""), 0);
  EXPECT_EQ(out_.str(), "a a<e>\n");
  options_.text = "0 x";
  EXPECT_EQ(Run(""), 1);
  EXPECT_EQ(err_.str(), "dray tokenize: \"x\" is not a token id\n");
}

TEST_F(TokenizeCommandTest, Pairs) {
  options_.text = "a";
  options_.pair = " a";
  EXPECT_EQ(Run(""), 0);
  EXPECT_EQ(out_.str(),
            " place     id  type  token                     text\n"
            "     0      0     0  \"a\"                       \"a\"\n"
            "     1      2     1  \"Ġa\"                      \" a\"\n"
            "2 tokens\n");
  options_.text.reset();
  options_.format = TokenizeFormat::kJsonl;
  EXPECT_EQ(Run("[\"a a\", \"a\"]\n"), 0);
  EXPECT_EQ(out_.str(), R"({"ids":[0,2,0],"type_ids":[0,0,1]})"
                        "\n");
  EXPECT_EQ(Run("[\"a\"]\n"), 1);
  EXPECT_EQ(Run("[\"a\", 1]\n"), 1);
}

TEST_F(TokenizeCommandTest, LongTextsAreCut) {
  options_.format = TokenizeFormat::kJsonl;
  options_.max_tokens = 3;
  EXPECT_EQ(Run("\"a a a a\"\n[\"a a\", \"a a a\"]\n"), 0);
  EXPECT_EQ(out_.str(),
            "[0,2,2]\n"
            R"({"ids":[0,0,2],"type_ids":[0,1,1]})"
            "\n");
  ASSERT_TRUE(ParseTruncation("only_second", options_.truncation).ok());
  EXPECT_EQ(Run("[\"a a\", \"a a a\"]\n"), 0);
  EXPECT_EQ(out_.str(), R"({"ids":[0,2,0],"type_ids":[0,0,1]})"
                        "\n");
  EXPECT_EQ(Run("\"a a a a\"\n"), 1);
  const Status status = ParseTruncation("do_not_truncate", options_.truncation);
  EXPECT_NE(status.message().find("do_not_truncate is not one of longest_first"),
            std::string::npos);
}

TEST_F(TokenizeCommandTest, BadModelIsNamed) {
  options_.model_dir = dir_ / "missing";
  EXPECT_EQ(Run(""), 1);
  EXPECT_NE(err_.str().find("missing"), std::string::npos);
}

}  // namespace
}  // namespace dray::cli
