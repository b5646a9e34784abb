// The files beside tokenizer.json, and the older ones that stand in for it, each with one fault.
#include "malformed/malformed_model.h"

namespace dray::testing {
namespace {

struct FileRow {
  const char* file;
  const char* path;
  const char* value;
  const char* expected;
};

// The files beside tokenizer.json.
constexpr FileRow kFileRows[] = {
    {"tokenizer_config.json", "tokenizer_class", "3", "tokenizer_class"},
    {"tokenizer_config.json", "add_bos_token", "\"yes\"", "add_bos_token"},
    {"tokenizer_config.json", "add_eos_token", "1", "add_eos_token"},
    {"tokenizer_config.json", "add_prefix_space", "[]", "add_prefix_space"},
    {"tokenizer_config.json", "bos_token", "1", "bos_token"},
    {"tokenizer_config.json", "eos_token", "{}", "eos_token"},
    {"tokenizer_config.json", "eos_token", "{\"content\": 3}", "eos_token.content"},
    {"tokenizer_config.json", "pad_token", "[\"<pad>\"]", "pad_token"},
    {"tokenizer_config.json", "additional_special_tokens", "[1]", "additional_special_tokens[0]"},
    {"tokenizer_config.json", "added_tokens_decoder", "[]", "added_tokens_decoder"},
    {"tokenizer_config.json", "added_tokens_decoder", "{\"x\": {\"content\": \"<x>\"}}",
     "added_tokens_decoder.x"},
    {"tokenizer_config.json", "added_tokens_decoder", "{\"-1\": {\"content\": \"<x>\"}}",
     "added_tokens_decoder.-1"},
    {"tokenizer_config.json", "added_tokens_decoder", "{\"99999999\": {\"content\": \"<x>\"}}",
     "added_tokens_decoder.99999999"},
    {"tokenizer_config.json", "added_tokens_decoder", "{\"5\": \"<x>\"}", "added_tokens_decoder.5"},
    {"tokenizer_config.json", "added_tokens_decoder", "{\"5\": {}}", "added_tokens_decoder.5"},
    {"tokenizer_config.json", "added_tokens_decoder",
     "{\"5\": {\"content\": \"<x>\", \"special\": 1}}", "added_tokens_decoder.5.special"},
    {"special_tokens_map.json", "bos_token", "7", "bos_token"},
    {"special_tokens_map.json", "unk_token", "{\"lstrip\": true}", "unk_token"},
    {"special_tokens_map.json", "additional_special_tokens", "[null]",
     "additional_special_tokens[0]"},
    {"added_tokens.json", "<x>", "-1", "<x>"},
    {"added_tokens.json", "<x>", "\"1\"", "<x>"},
    {"added_tokens.json", "<x>", "4000000", "<x>"},
    {"added_tokens.json", "<x>", "null", "<x>"},
    {"added_tokens.json", "<x>", "{}", "<x>"},
};

// vocab.json and merges.txt of the tokenizer opt.
struct OldRow {
  const char* name;
  const char* file;  // the file to write
  std::string text;
  const char* expected;
};

std::vector<OldRow> OldRows() {
  return {
      {"vocab_empty", "vocab.json", "", "JSON"},
      {"vocab_cut", "vocab.json", "{\"a\": 1, \"b\"", "JSON"},
      {"vocab_array", "vocab.json", "[\"a\"]", "object"},
      {"vocab_without_merged", "vocab.json", "{\"a\": 0}", "merges.txt: merges[0] needs"},
      {"vocab_id_text", "vocab.json", "{\"a\": \"0\"}", "\"a\""},
      {"vocab_id_negative", "vocab.json", "{\"a\": -5}", "\"a\" is -5"},
      {"vocab_id_huge", "vocab.json", "{\"a\": 1e18}", "\"a\""},
      {"vocab_id_twice", "vocab.json", "{\"a\": 3, \"b\": 3}", "\"b\" has the id 3"},
      {"vocab_utf8", "vocab.json", "{\"\xFF\": 3}", "JSON"},
      {"vocab_nested", "vocab.json", "{\"a\": {\"b\": 1}}", "\"a\""},
      {"merges_one_word", "merges.txt", "#version: 0.2\nab\n", "merge 1"},
      {"merges_three_words", "merges.txt", "#version: 0.2\na b c\n", "merge 1"},
      {"merges_blank_line", "merges.txt", "#version: 0.2\n\na b\n", "merge 1"},
      {"merges_unknown", "merges.txt", "#version: 0.2\nzzzz yyyy\n", "zzzz"},
      {"merges_binary", "merges.txt", std::string("\0\1\2\3 \xFF", 6), "merges[0]"},
      {"merges_is_json", "merges.txt", "{\"a\": 1}", "merges"},
  };
}

}  // namespace

std::vector<MalformedModel> MalformedTokenizerFiles() {
  std::vector<MalformedModel> cases;
  for (const FileRow& row : kFileRows) {
    cases.push_back(
        {.name = CaseName(std::string(row.file) + " " + row.path + " " + row.value),
         .damage =
             [row](const ModelFolder& folder) { folder.SetJson(row.file, row.path, row.value); },
         .file = row.file,
         .expected = {row.expected}});
  }
  for (const OldRow& row : OldRows()) {
    cases.push_back(
        {.name = row.name,
         .tokenizer = "opt",
         .damage = [row](const ModelFolder& folder) { folder.Write(row.file, row.text); },
         // If the vocabulary lacks a token, only the merges show it.
         .file = std::string_view(row.name) == "vocab_without_merged" ? "merges.txt" : row.file,
         .expected = {row.expected}});
  }
  return cases;
}

}  // namespace dray::testing
