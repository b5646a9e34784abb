// How each rule cuts texts, against what Hugging Face's pre-tokenizers made of them with the rules of
// the models' own tokenizer.json files. Words are in byte-level characters: U+0120 is a blank.
#include "tokenizer/load/word_rules.h"

#include <gtest/gtest.h>

#include <span>
#include <string>
#include <vector>

#include "tokenizer/json_node.h"
#include "tokenizer/steps/pre_tokenizer.h"

namespace dray::tokenizer {
namespace {

using Words = std::vector<std::string>;

Words Cut(std::string_view rule_name, std::string_view text) {
  const WordRule* rule = FindWordRule(rule_name);
  EXPECT_NE(rule, nullptr) << rule_name;
  if (rule == nullptr) return {};
  const Json node = WordRuleNode(*rule);
  const auto pre_tokenizer = PreTokenizer::Load(JsonNode(node, "pre"));
  EXPECT_TRUE(pre_tokenizer.ok()) << pre_tokenizer.status().message();
  WorkBudget budget(text.size());
  Pieces pieces(budget);
  pieces.list.push_back({text, 0, true});
  EXPECT_TRUE(pre_tokenizer->Apply(pieces).ok());
  Words words;
  for (const Piece& piece : pieces.list) words.emplace_back(piece.text);
  return words;
}

struct CutCase {
  const char* rule;
  const char* text;
  Words words;
};

void ExpectCuts(std::span<const CutCase> cases) {
  for (const CutCase& one : cases) EXPECT_EQ(Cut(one.rule, one.text), one.words) << one.rule;
}

TEST(WordRulesTest, CutAsDeepSeeksOwnFiles) {
  const CutCase cases[] = {
      {"deepseek-llm",
       "I'm 12345 years,  old!?\n\n x  ",
       {"I", "'", "m", "Ġ", "1", "2", "3", "4", "5", "Ġyears", ",", "Ġ", "Ġold", "!?", "Ċ", "Ċ",
        "Ġx", "ĠĠ"}},
      {"deepseek-llm",
       "a  b\t\nc...  12 345.678",
       {"a", "Ġ", "Ġb", "ĉ", "Ċ", "c", "...", "ĠĠ", "1", "2", "Ġ", "3", "4", "5", ".", "6", "7",
        "8"}},
      {"deepseek-llm",
       "世界abcこんにちは 12年",
       {"ä¸ĸçķĮ", "abc", "ãģĵãĤĵãģ«ãģ¡ãģ¯", "Ġ", "1", "2", "å¹´"}},
      {"deepseek-llm",
       "if (x_1>=0) { return `y`; }\r\n",
       {"if", "Ġ(", "x", "_", "1", ">=", "0", ")", "Ġ{", "Ġreturn", "Ġ`", "y", "`;", "Ġ}", "č",
        "Ċ"}},
      {"deepseek-llm",
       " \t 7x¿Qué? ½ ²",
       {"ĠĉĠ", "7", "x", "Â¿", "Qu", "Ã©", "?", "Ġ", "Â½", "Ġ", "Â²"}},
      {"deepseek-coder",
       "I'm 12345 years,  old!?\n\n x  ",
       {"I", "'", "m", "Ġ", "1", "2", "3", "4", "5", "Ġyears", ",", "Ġ", "Ġold", "!?", "Ċ", "Ċ",
        "Ġx", "ĠĠ"}},
      {"deepseek-coder",
       "a  b\t\nc...  12 345.678",
       {"a", "Ġ", "Ġb", "ĉ", "Ċ", "c", "...", "ĠĠ", "1", "2", "Ġ", "3", "4", "5", ".", "6", "7",
        "8"}},
      {"deepseek-coder",
       "世界abcこんにちは 12年",
       {"ä¸ĸçķĮ", "abc", "ãģĵãĤĵãģ«ãģ¡ãģ¯", "Ġ", "1", "2", "å¹´"}},
      {"deepseek-coder",
       "if (x_1>=0) { return `y`; }\r\n",
       {"if", "Ġ(", "x", "_", "1", ">=", "0", ")", "Ġ{", "Ġreturn", "Ġ`", "y", "`", ";", "Ġ}", "č",
        "Ċ"}},
      {"deepseek-coder",
       " \t 7x¿Qué? ½ ²",
       {"ĠĉĠ", "7", "x", "Â¿", "QuÃ©", "?", "Ġ", "Â½", "Ġ", "Â²"}},
      {"deepseek-v3",
       "I'm 12345 years,  old!?\n\n x  ",
       {"I", "'m", "Ġ", "123", "45", "Ġyears", ",", "Ġ", "Ġold", "!?ĊĊ", "Ġx", "ĠĠ"}},
      {"deepseek-v3",
       "a  b\t\nc...  12 345.678",
       {"a", "Ġ", "Ġb", "ĉĊ", "c", "...", "ĠĠ", "12", "Ġ", "345", ".", "678"}},
      {"deepseek-v3",
       "世界abcこんにちは 12年",
       {"ä¸ĸçķĮ", "abc", "ãģĵãĤĵãģ«ãģ¡ãģ¯", "Ġ", "12", "å¹´"}},
      {"deepseek-v3",
       "if (x_1>=0) { return `y`; }\r\n",
       {"if", "Ġ(", "x", "_", "1", ">=", "0", ")", "Ġ{", "Ġreturn", "Ġ`", "y", "`;", "Ġ}čĊ"}},
      {"deepseek-v3",
       " \t 7x¿Qué? ½ ²",
       {"ĠĉĠ", "7", "x", "Â¿", "QuÃ©", "?", "Ġ", "Â½", "Ġ", "Â²"}},
  };
  ExpectCuts(cases);
}

TEST(WordRulesTest, CutAsOtherModelsOwnFiles) {
  const CutCase cases[] = {
      {"falcon",
       "I'm 12345 years,  old!?\n\n x  ",
       {"I", "'", "m", "Ġ", "123", "45", "Ġyears", ",", "Ġ", "Ġold", "!?", "ĊĊ", "Ġx", "ĠĠ"}},
      {"falcon",
       "a  b\t\nc...  12 345.678",
       {"a", "Ġ", "Ġb", "ĉ", "Ċ", "c", "...", "Ġ", "Ġ", "12", "Ġ", "345", ".", "678"}},
      {"falcon", "世界abcこんにちは 12年", {"ä¸ĸçķĮabcãģĵãĤĵãģ«ãģ¡ãģ¯", "Ġ", "12", "å", "¹", "´"}},
      {"falcon",
       "if (x_1>=0) { return `y`; }\r\n",
       {"if", "Ġ", "(", "x", "_", "1", ">=", "0", ")", "Ġ", "{", "Ġreturn", "Ġ", "`", "y", "`;",
        "Ġ", "}", "čĊ"}},
      {"falcon", " \t 7x¿Qué? ½ ²", {"Ġĉ", "Ġ", "7", "x", "Â¿", "QuÃ©", "?", "ĠÂ", "½", "ĠÂ", "²"}},
      {"seed-coder",
       "I'm 12345 years,  old!?\n\n x  ",
       {"I", "'m", "Ġ", "1", "2", "3", "4", "5", "Ġyears", ",", "Ġ", "Ġold", "!?", "ĊĊ", "Ġx",
        "ĠĠ"}},
      {"seed-coder",
       "a  b\t\nc...  12 345.678",
       {"a", "Ġ", "Ġb", "ĉĊ", "c", "...", "Ġ", "Ġ", "1", "2", "Ġ", "3", "4", "5", ".", "6", "7",
        "8"}},
      {"seed-coder", "世界abcこんにちは 12年", {"ä¸ĸçķĮabcãģĵãĤĵãģ«ãģ¡ãģ¯", "Ġ", "1", "2", "å¹´"}},
      {"seed-coder",
       "if (x_1>=0) { return `y`; }\r\n",
       {"if", "Ġ(", "x", "_", "1", ">=", "0", ")", "Ġ{", "Ġreturn", "Ġ`", "y", "`;", "Ġ}", "čĊ"}},
      {"seed-coder", " \t 7x¿Qué? ½ ²", {"Ġĉ", "Ġ", "7", "x", "Â¿QuÃ©", "?", "Ġ", "Â½", "Ġ", "Â²"}},
      {"refact",
       "I'm 12345 years,  old!?\n\n x  ",
       {"I", "'m", "Ġ", "1", "2", "3", "4", "5", "Ġyears", ",", "Ġ", "Ġold", "!?", "ĊĊ", "Ġx",
        "ĠĠ"}},
      {"refact",
       "a  b\t\nc...  12 345.678",
       {"a", "Ġ", "Ġb", "ĉ", "Ċ", "c", "...", "ĠĠ", "1", "2", "Ġ", "3", "4", "5", ".", "6", "7",
        "8"}},
      {"refact", "世界abcこんにちは 12年", {"ä¸ĸçķĮabcãģĵãĤĵãģ«ãģ¡ãģ¯", "Ġ", "1", "2", "å¹´"}},
      {"refact",
       "if (x_1>=0) { return `y`; }\r\n",
       {"if", "Ġ(", "x", "_", "1", ">=", "0", ")", "Ġ{", "Ġreturn", "Ġ`", "y", "`;", "Ġ}", "čĊ"}},
      {"refact", " \t 7x¿Qué? ½ ²", {"ĠĉĠ", "7", "x", "Â¿", "QuÃ©", "?", "Ġ", "Â½", "Ġ", "Â²"}},
  };
  ExpectCuts(cases);
}

TEST(WordRulesTest, EveryNameHasARuleThatLoads) {
  std::string names = KnownWordRules() + ", ";
  size_t count = 0;
  for (size_t end = names.find(", "); end != std::string::npos; end = names.find(", ")) {
    const std::string name = names.substr(0, end);
    names.erase(0, end + 2);
    ++count;
    const Words words = Cut(name, "a b");
    EXPECT_EQ(words.size(), 2u) << name;
  }
  EXPECT_GE(count, 50u);
  EXPECT_EQ(FindWordRule("no-such-rule"), nullptr);
}

}  // namespace
}  // namespace dray::tokenizer
