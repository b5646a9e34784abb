// tokenizer.json with one node that is absent, of the wrong kind, unknown or contradictory.
#include "base/parse/json.h"
#include "malformed/malformed_model.h"

namespace dray::testing {
namespace {

struct Row {
  const char* tokenizer;
  const char* path;   // in tokenizer.json
  const char* value;  // null: the member is removed
  const char* expected;
};

constexpr Row kModelRows[] = {
    {"gpt2", "version", "\"2.0\"", "version: \"2.0\""},
    {"gpt2", "version", "1", "version: must be a string"},
    {"gpt2", "model", nullptr, "\"model\" is missing"},
    {"gpt2", "model", "null", "\"model\" is missing"},
    {"gpt2", "model", "[]", "model: must be an object"},
    {"gpt2", "model", "\"BPE\"", "model: must be an object"},
    {"gpt2", "model", "{}", "model: the field"},
    {"gpt2", "model/type", "\"SentencePiece\"", "model.type: \"SentencePiece\" is not one of"},
    {"gpt2", "model/type", "\"\"", "model.type"},
    {"gpt2", "model/type", "3", "model.type"},
    {"gpt2", "model/type", "\"Unigram\"", "model.vocab"},
    {"gpt2", "model/type", "\"WordPiece\"", "unk_token"},
    {"gpt2", "model/type", "\"WordLevel\"", "unk_token"},
    {"gpt2", "model/dropout", "0.1", "model.dropout"},
    {"gpt2", "model/dropout", "\"0\"", "model.dropout"},
    {"gpt2", "model/unk_token", "3", "model.unk_token"},
    {"gpt2", "model/continuing_subword_prefix", "[]", "model.continuing_subword_prefix"},
    {"gpt2", "model/continuing_subword_prefix", "\"####\"", "continuing_subword_prefix"},
    {"gpt2", "model/end_of_word_suffix", "true", "model.end_of_word_suffix"},
    {"gpt2", "model/fuse_unk", "1", "model.fuse_unk"},
    {"gpt2", "model/byte_fallback", "\"yes\"", "model.byte_fallback"},
    {"gpt2", "model/ignore_merges", "{}", "model.ignore_merges"},
    {"gpt2", "model/vocab", nullptr, "model: the field \"vocab\" is missing"},
    {"gpt2", "model/vocab", "[]", "model.vocab: must be an object"},
    {"gpt2", "model/vocab", "\"vocab.json\"", "model.vocab: must be an object"},
    {"gpt2", "model/vocab", "{}", "model: merges[0] needs the token"},
    {"gpt2", "model/vocab/the", "-1", "model.vocab: the id of \"the\" is -1"},
    {"gpt2", "model/vocab/the", "4000000", "model.vocab: the id of \"the\" is 4000000"},
    {"gpt2", "model/vocab/the", "9e18", "model.vocab: the id of \"the\""},
    {"gpt2", "model/vocab/the", "1e400", "model.vocab: the id of \"the\""},
    {"gpt2", "model/vocab/the", "7.5", "model.vocab: the id of \"the\" is 7.5"},
    {"gpt2", "model/vocab/the", "\"7\"", "model.vocab: the id of \"the\" is \"7\""},
    {"gpt2", "model/vocab/the", "null", "model.vocab: the id of \"the\" is null"},
    {"gpt2", "model/vocab/the", "[7]", "model.vocab: the id of \"the\" is [7]"},
    {"gpt2", "model/vocab/zzzzz", "7", "model.vocab: \"zzzzz\" has the id 7"},
    {"gpt2", "model/vocab/zzzzz", "7.0", "model.vocab: \"zzzzz\" has the id 7"},
    {"llama2", "model/vocab/zzzzz", "0", "model.vocab: \"zzzzz\" has the id 0"},
    {"wordlevel", "model/vocab/zzzzz", "1", "model.vocab: \"zzzzz\" has the id 1"},
    {"bert", "model/vocab/zzzzz", "5", "model.vocab: \"zzzzz\" has the id 5"},
    {"gpt2", "model/merges", nullptr, "model: the field \"merges\" is missing"},
    {"gpt2", "model/merges", "{}", "model.merges: must be an array"},
    {"gpt2", "model/merges", "\"merges.txt\"", "model.merges: must be an array"},
    {"gpt2", "model/merges/0", "\"ab\"", "model.merges"},
    {"gpt2", "model/merges/0", "\"a b c\"", "model.merges: merge 1 is \"a b c\""},
    {"gpt2", "model/merges/0", "7", "model.merges: element 0"},
    {"gpt2", "model/merges/5", "7", "model.merges"},
    {"gpt2", "model/merges/5", "[\"a\"]", "model.merges"},
    {"gpt2", "model/merges/5", "[\"a\", \"b\", \"c\"]", "model.merges"},
    {"gpt2", "model/merges/5", "[\"a\", 1]", "model.merges"},
    {"gpt2", "model/merges/5", "null", "model.merges"},
    {"gpt2", "model/merges/442", "\"zzzz a\"", "merges[442] needs the token \"zzzz\""},
    {"gpt2", "model/merges/442", "\"a zzzz\"", "merges[442] needs the token \"zzzz\""},
    {"gpt2", "model/merges/442", "\"t q\"", "merges[442] needs the token \"tq\""},
    {"gpt2", "model/merges/442", "\" \"", "merges[442] needs the token \"\""},
    {"llama3", "model/merges/442", "[\"zzzz\", \"a\"]", "merges[442] needs the token \"zzzza\""},
    {"llama3", "model/merges/442", "[\"t\", \"q\"]", "merges[442] needs the token \"tq\""},
    {"llama3", "model/merges/442", "\"t h\"", "model.merges: element 442"},
    {"t5", "model/vocab", nullptr, "\"vocab\" is missing"},
    {"t5", "model/vocab", "{}", "model.vocab: must be an array"},
    {"t5", "model/vocab", "[]", "model.unk_id"},
    {"t5", "model/vocab/4", "[\"a\"]", "model.vocab: element 4"},
    {"t5", "model/vocab/4", "[\"a\", -1.5, 3]", "model.vocab: element 4"},
    {"t5", "model/vocab/4", "[-1.5, \"a\"]", "model.vocab: element 4"},
    {"t5", "model/vocab/4", "\"a\"", "model.vocab: element 4"},
    {"t5", "model/vocab/4", "[\"a\", \"-1.5\"]", "model.vocab: element 4"},
    {"t5", "model/vocab/4", "[\"a\", null]", "model.vocab: element 4"},
    {"t5", "model/vocab/4", "[\"a\", 1e400]", "model.vocab: element 4"},
    {"t5", "model/unk_id", "-1", "model.unk_id"},
    {"t5", "model/unk_id", "800", "model.unk_id: 800 is outside"},
    {"t5", "model/unk_id", "\"2\"", "model.unk_id"},
    {"t5", "model/unk_id", "1.5", "model.unk_id"},
    {"t5", "model/byte_fallback", "1", "model.byte_fallback"},
    {"bert", "model/unk_token", nullptr, "\"unk_token\" is missing"},
    {"bert", "model/unk_token", "1", "model.unk_token"},
    {"bert", "model/continuing_subword_prefix", nullptr, "continuing_subword_prefix"},
    {"bert", "model/max_input_chars_per_word", nullptr, "max_input_chars_per_word"},
    {"bert", "model/max_input_chars_per_word", "-1", "max_input_chars_per_word"},
    {"bert", "model/max_input_chars_per_word", "1e12", "max_input_chars_per_word"},
    {"bert", "model/max_input_chars_per_word", "\"100\"", "max_input_chars_per_word"},
    {"bert", "model/vocab", "3", "model.vocab"},
    {"wordlevel", "model/unk_token", nullptr, "\"unk_token\" is missing"},
    {"wordlevel", "model/unk_token", "{}", "model.unk_token"},
    {"wordlevel", "model/vocab", nullptr, "\"vocab\" is missing"},
};

constexpr Row kStageRows[] = {
    {"qwen2", "normalizer", "3", "normalizer: must be an object"},
    {"qwen2", "normalizer", "[]", "normalizer: must be an object"},
    {"qwen2", "normalizer", "{}", "normalizer: the field \"type\" is missing"},
    {"qwen2", "normalizer/type", "\"NFX\"", "normalizer.type: \"NFX\" is not one of"},
    {"qwen2", "normalizer/type", "\"nfc\"", "normalizer.type: \"nfc\" is not one of"},
    {"qwen2", "normalizer/type", "1", "normalizer.type"},
    {"qwen2", "normalizer/type", "\"Sequence\"", "\"normalizers\" is missing"},
    {"qwen2", "normalizer/type", "\"Replace\"", "\"pattern\" is missing"},
    {"qwen2", "normalizer/type", "\"Prepend\"", "\"prepend\" is missing"},
    {"qwen2", "normalizer/type", "\"Precompiled\"", "precompiled_charsmap"},
    {"llama2", "normalizer/normalizers", "{}", "normalizer.normalizers: must be an array"},
    {"llama2", "normalizer/normalizers/0", "null", "normalizer.normalizers[0]"},
    {"llama2", "normalizer/normalizers/0/type", "\"Append\"", "normalizer.normalizers[0].type"},
    {"llama2", "normalizer/normalizers/0/prepend", "1", "normalizer.normalizers[0].prepend"},
    {"llama2", "normalizer/normalizers/1/pattern", "\" \"", "normalizer.normalizers[1].pattern"},
    {"llama2", "normalizer/normalizers/1/pattern", "{}", "normalizer.normalizers[1].pattern"},
    {"llama2", "normalizer/normalizers/1/pattern", "{\"Regex\": \"(\"}",
     "normalizer.normalizers[1].pattern"},
    {"llama2", "normalizer/normalizers/1/pattern", "{\"Glob\": \"*\"}",
     "normalizer.normalizers[1].pattern"},
    {"llama2", "normalizer/normalizers/1/content", nullptr, "\"content\" is missing"},
    {"bert", "normalizer/lowercase", "\"yes\"", "normalizer.lowercase"},
    {"bert", "normalizer/clean_text", "1", "normalizer.clean_text"},
    {"wordlevel", "normalizer/normalizers/0/strip_left", "1", "strip_left"},
    {"t5", "normalizer/normalizers/0/precompiled_charsmap", "\"!!!\"", "precompiled_charsmap"},
    {"t5", "normalizer/normalizers/0/precompiled_charsmap", "\"\"", "precompiled_charsmap"},
    {"t5", "normalizer/normalizers/0/precompiled_charsmap", "\"//////8=\"", "precompiled_charsmap"},
    {"t5", "normalizer/normalizers/0/precompiled_charsmap", "7", "precompiled_charsmap"},
    {"t5", "normalizer/normalizers/0/precompiled_charsmap", nullptr, "precompiled_charsmap"},
    {"gpt2", "pre_tokenizer", "true", "pre_tokenizer: must be an object"},
    {"gpt2", "pre_tokenizer", "{}", "pre_tokenizer: the field \"type\" is missing"},
    {"gpt2", "pre_tokenizer/type", "\"Bytes\"", "pre_tokenizer.type: \"Bytes\" is not one of"},
    {"gpt2", "pre_tokenizer/type", "null", "pre_tokenizer"},
    {"gpt2", "pre_tokenizer/type", "\"Split\"", "pre_tokenizer: the field \"pattern\" is missing"},
    {"gpt2", "pre_tokenizer/type", "\"Sequence\"", "\"pretokenizers\" is missing"},
    {"gpt2", "pre_tokenizer/type", "\"Digits\"", "individual_digits"},
    {"gpt2", "pre_tokenizer/type", "\"CharDelimiterSplit\"", "delimiter"},
    {"gpt2", "pre_tokenizer", "{\"type\": \"FixedLength\", \"length\": 0}",
     "pre_tokenizer.length: must be above 0"},
    {"gpt2", "pre_tokenizer", "{\"type\": \"FixedLength\", \"length\": -3}",
     "pre_tokenizer.length"},
    {"gpt2", "pre_tokenizer/add_prefix_space", nullptr, "add_prefix_space"},
    {"gpt2", "pre_tokenizer/add_prefix_space", "0", "pre_tokenizer.add_prefix_space"},
    {"gpt2", "pre_tokenizer/use_regex", "\"no\"", "pre_tokenizer.use_regex"},
    {"llama3", "pre_tokenizer/pretokenizers", "{}", "pre_tokenizer.pretokenizers"},
    {"llama3", "pre_tokenizer/pretokenizers/0", "0", "pre_tokenizer.pretokenizers[0]"},
    {"llama3", "pre_tokenizer/pretokenizers/0/type", "\"Cut\"",
     "pre_tokenizer.pretokenizers[0].type"},
    {"llama3", "pre_tokenizer/pretokenizers/0/behavior", nullptr, "\"behavior\" is missing"},
    {"llama3", "pre_tokenizer/pretokenizers/0/behavior", "\"Dropped\"", "behavior"},
    {"llama3", "pre_tokenizer/pretokenizers/0/invert", nullptr, "\"invert\" is missing"},
    {"llama3", "pre_tokenizer/pretokenizers/0/invert", "0", "invert"},
    {"llama3", "pre_tokenizer/pretokenizers/0/pattern", "3", "pretokenizers[0].pattern"},
    {"llama3", "pre_tokenizer/pretokenizers/0/pattern/Regex", "3", "pattern.Regex"},
    {"llama3", "pre_tokenizer/pretokenizers/0/pattern/Regex", "\"[a-\"", "does not compile"},
    {"llama3", "pre_tokenizer/pretokenizers/0/pattern/Regex", "\"a**(\"", "does not compile"},
    {"llama3", "pre_tokenizer/pretokenizers/0/pattern/Regex", "\"\\\\p{Klingon}\"",
     "does not compile"},
    {"llama3", "pre_tokenizer/pretokenizers/0/pattern/Regex", "\"a{1,99999999}\"",
     "does not compile"},
    {"llama3", "pre_tokenizer/pretokenizers/0/pattern/Regex", "\"\\\\k<none>\"",
     "does not compile"},
    {"llama3", "pre_tokenizer/pretokenizers/0/pattern/Regex", "\"(?<a>\\\\g<a>)\"",
     "does not compile"},
    {"llama2_metaspace", "pre_tokenizer/replacement", nullptr, "\"replacement\" is missing"},
    {"llama2_metaspace", "pre_tokenizer/replacement", "\"\"", "pre_tokenizer.replacement"},
    {"llama2_metaspace", "pre_tokenizer/replacement", "\"ab\"", "pre_tokenizer.replacement"},
    {"llama2_metaspace", "pre_tokenizer/replacement", "9601", "pre_tokenizer.replacement"},
    {"llama2_metaspace", "pre_tokenizer/prepend_scheme", "\"sometimes\"",
     "pre_tokenizer.prepend_scheme"},
    {"llama2_metaspace", "pre_tokenizer/add_prefix_space", "false",
     "pre_tokenizer.prepend_scheme: contradicts"},
    {"llama2", "post_processor", "[]", "post_processor: must be an object"},
    {"llama2", "post_processor", "{}", "post_processor: the field \"type\" is missing"},
    {"llama2", "post_processor/type", "\"Template\"", "post_processor.type: \"Template\""},
    {"llama2", "post_processor/type", "\"Sequence\"", "\"processors\" is missing"},
    {"llama2", "post_processor/type", "\"BertProcessing\"", "\"cls\" is missing"},
    {"llama2", "post_processor/single", nullptr, "\"single\" is missing"},
    {"llama2", "post_processor/single", "\"$A\"", "post_processor.single"},
    {"llama2", "post_processor/single/0", "{}", "post_processor.single[0]"},
    {"llama2", "post_processor/single/0", "7", "post_processor.single[0]"},
    {"llama2", "post_processor/single/0/SpecialToken/id", "\"<none>\"", "\"<none>\" is missing"},
    {"llama2", "post_processor/single/0/SpecialToken/id", "1", "SpecialToken.id"},
    {"llama2", "post_processor/single/1/Sequence/id", "\"B\"", "single[1].Sequence"},
    {"llama2", "post_processor/special_tokens", nullptr, "\"special_tokens\" is missing"},
    {"llama2", "post_processor/special_tokens", "[]", "post_processor.special_tokens"},
    {"llama2", "post_processor/special_tokens/<s>/ids", nullptr, "\"ids\" is missing"},
    {"llama2", "post_processor/special_tokens/<s>/ids", "1", "ids"},
    {"llama2", "post_processor/special_tokens/<s>/ids/0", "-1", "ids[0]"},
    {"llama2", "post_processor/special_tokens/<s>/ids/0", "4000000", "ids[0]"},
    {"llama2", "post_processor/special_tokens/<s>/ids/0", "\"1\"", "ids[0]"},
    {"llama2", "post_processor/special_tokens/<s>/ids/0", "1025",
     "post_processor: adds the id 1025"},
    {"bert", "post_processor/sep", nullptr, "\"sep\" is missing"},
    {"bert", "post_processor/sep", "[\"[SEP]\"]", "post_processor.sep"},
    {"bert", "post_processor/cls/1", "-2", "post_processor.cls[1]"},
    {"bert", "post_processor/cls/1", "3999999", "post_processor: adds the id 3999999"},
    {"llama2", "decoder", "1", "decoder: must be an object"},
    {"llama2", "decoder", "{}", "decoder: the field \"type\" is missing"},
    {"llama2", "decoder/type", "\"Bytes\"", "decoder.type: \"Bytes\" is not one of"},
    {"llama2", "decoder/decoders", nullptr, "\"decoders\" is missing"},
    {"llama2", "decoder/decoders", "{}", "decoder.decoders"},
    {"llama2", "decoder/decoders/0/pattern", nullptr, "\"pattern\" is missing"},
    {"llama2", "decoder/decoders/0/content", "1", "decoder.decoders[0].content"},
    {"llama2", "decoder/decoders/3/content", "\"  \"", "decoder.decoders[3].content"},
    {"llama2", "decoder/decoders/3/start", "-1", "decoder.decoders[3].start"},
    {"llama2", "decoder/decoders/3/start", nullptr, "\"start\" is missing"},
    {"llama2", "decoder/decoders/3/stop", "1000000", "decoder.decoders[3].stop"},
    {"bert", "decoder/prefix", nullptr, "\"prefix\" is missing"},
    {"bert", "decoder/cleanup", "1", "decoder.cleanup"},
    {"clip", "decoder/suffix", "null", "\"suffix\" is missing"},
    {"t5", "decoder/replacement", "\"\"", "decoder.replacement"},
    {"t5", "decoder/prepend_scheme", "\"maybe\"", "decoder"},
};

constexpr Row kAddedRows[] = {
    {"gpt2", "added_tokens", "{}", "added_tokens: must be an array"},
    {"gpt2", "added_tokens", "\"<|endoftext|>\"", "added_tokens: must be an array"},
    {"gpt2", "added_tokens/0", "7", "added_tokens[0]: must be an object"},
    {"gpt2", "added_tokens/0", "\"<|endoftext|>\"", "added_tokens[0]: must be an object"},
    {"gpt2", "added_tokens/0/content", nullptr, "added_tokens[0]: the field \"content\""},
    {"gpt2", "added_tokens/0/content", "5", "added_tokens[0].content"},
    {"gpt2", "added_tokens/0/id", nullptr, "added_tokens[0]: the field \"id\" is missing"},
    {"gpt2", "added_tokens/0/id", "-1", "added_tokens[0].id: -1"},
    {"gpt2", "added_tokens/0/id", "4000000", "added_tokens[0].id: 4000000"},
    {"gpt2", "added_tokens/0/id", "1e30", "added_tokens[0].id"},
    {"gpt2", "added_tokens/0/id", "\"0\"", "added_tokens[0].id"},
    {"gpt2", "added_tokens/0/id", "0.5", "added_tokens[0].id"},
    {"gpt2", "added_tokens/0/special", "1", "added_tokens[0].special"},
    {"gpt2", "added_tokens/0/lstrip", "\"no\"", "added_tokens[0].lstrip"},
    {"gpt2", "added_tokens/0/rstrip", "[]", "added_tokens[0].rstrip"},
    {"gpt2", "added_tokens/0/normalized", "0", "added_tokens[0].normalized"},
    {"gpt2", "added_tokens/0/single_word", "\"\"", "added_tokens[0].single_word"},
};

std::string Repeat(const std::string& text, int times) {
  std::string out;
  for (int i = 0; i < times; ++i) out += text;
  return out;
}

// Values too long for a table.
struct LongRow {
  const char* name;
  const char* path;
  std::string value;
  const char* expected;
};

std::vector<LongRow> LongRows() {
  const std::string lower = "{\"type\":\"Lowercase\"},";
  const std::string digits = "{\"type\":\"Whitespace\"},";
  const std::string text = "{\"Sequence\":{\"id\":\"A\"}},";
  const auto list = [](const char* type, const char* key, const std::string& many,
                       const std::string& last) {
    return std::string("{\"type\":\"") + type + "\",\"" + key + "\":[" + many + last + "]}";
  };
  const auto split = [](const std::string& regex) {
    return R"({"type":"Split","behavior":"Isolated","invert":false,"pattern":{"Regex":")" + regex +
           "\"}}";
  };
  std::string nested = R"({"type":"Lowercase"})";
  for (int i = 0; i < 200; ++i) nested = list("Sequence", "normalizers", "", nested);
  return {
      {"regex_long", "pre_tokenizer", split(Repeat("a|", 10'000)), "pre_tokenizer.pattern"},
      {"regex_deep", "pre_tokenizer", split(Repeat("(", 200) + Repeat(")", 200)),
       "pre_tokenizer.pattern"},
      {"normalizers_many", "normalizer",
       list("Sequence", "normalizers", Repeat(lower, 1000), R"({"type":"Lowercase"})"),
       "normalizer.normalizers["},
      {"normalizers_deep", "normalizer", nested, "nested deeper"},
      {"pre_tokenizers_many", "pre_tokenizer",
       list("Sequence", "pretokenizers", Repeat(digits, 1000), R"({"type":"Whitespace"})"),
       "pre_tokenizer.pretokenizers["},
      {"decoders_many", "decoder",
       list("Sequence", "decoders", Repeat(R"({"type":"Fuse"},)", 100), R"({"type":"Fuse"})"),
       "decoder.decoders["},
      {"decoder_grows", "decoder",
       R"({"type":"Replace","pattern":{"String":"a"},"content":")" + Repeat("b", 5000) + "\"}",
       "decoder"},
      {"template_repeats", "post_processor",
       R"({"type":"TemplateProcessing","special_tokens":{},"single":[)" + Repeat(text, 20) +
           R"({"Sequence":{"id":"A"}}]})",
       "post_processor: repeats the text"},
      {"template_long", "post_processor",
       R"({"type":"TemplateProcessing","special_tokens":{},"single":[)" + Repeat(text, 500) +
           R"({"Sequence":{"id":"A"}}]})",
       "post_processor.single"},
      {"template_ids", "post_processor",
       R"({"type":"TemplateProcessing","single":[{"SpecialToken":{"id":"x"}}],)"
       R"("special_tokens":{"x":{"ids":[)" +
           Repeat("1,", 1000) + "1]}}}",
       "post_processor.special_tokens.x.ids"},
      {"added_token_huge", "added_tokens",
       R"([{"id":0,"content":")" + Repeat("abcdefgh", 100'000) + R"("}])",
       "added_tokens[0].content"},
      {"added_token_long", "added_tokens",
       R"([{"id":0,"content":")" + Repeat("a", 1'025) + R"("}])", "added_tokens[0].content"},
      {"vocab_name_long", "model/vocab", "{\"" + Repeat("a", 1'000'000) + "\": -1}",
       "model.vocab: the id of \"aaaa"},
      {"vocab_names_long", "model/vocab",
       "{\"" + Repeat("a", 1'000'000) + "\": 1, \"" + Repeat("b", 1'000'000) + "\": 1}",
       "has the id 1, which \"aaaa"},
      {"merge_long", "model/merges", "[\"" + Repeat("a", 1'000'000) + " b\"]",
       "model: merges[0] needs the token \"aaaa"},
      {"merge_long_line", "model/merges", "[\"" + Repeat("a", 1'000'000) + "\"]",
       "model.merges: merge 1"},
      {"type_long", "model/type", "\"" + Repeat("a", 1'000'000) + "\"", "model.type: \"aaaa"},
      {"special_name_long", "post_processor",
       R"({"type":"TemplateProcessing","special_tokens":{},"single":[{"SpecialToken":{"id":")" +
           Repeat("a", 1'000'000) + R"("}}]})",
       "post_processor.special_tokens: the field \"aaaa"},
      {"field_value_long", "model/unk_token", "[\"" + Repeat("a", 1'000'000) + "\"]",
       "model.unk_token"},
      {"version_long", "version", "\"" + Repeat("1", 1'000'000) + "\"", "version"},
  };
}

template <size_t kCount>
void AddRows(std::vector<MalformedModel>& cases, const Row (&rows)[kCount]) {
  for (const Row& row : rows) {
    cases.push_back({.name = CaseName(std::string("tokenizer ") + row.tokenizer + " " + row.path +
                                      " " + (row.value == nullptr ? "missing" : row.value)) +
                             "_" + std::to_string(cases.size()),
                     // GPT-2's tokenizer class has a rule of its own for add_prefix_space; bloom
                     // names no class.
                     .model = "bloom",
                     .tokenizer = row.tokenizer,
                     .damage =
                         [row](const ModelFolder& folder) {
                           folder.SetJson("tokenizer.json", row.path,
                                          row.value == nullptr
                                              ? std::nullopt
                                              : std::optional<std::string>(row.value));
                         },
                     .file = "tokenizer.json",
                     .expected = {row.expected}});
  }
}

// Every prefix of tokenizer.json is incomplete JSON.
void AddTruncations(std::vector<MalformedModel>& cases) {
  for (const char* tokenizer : {"gpt2", "t5"}) {
    for (int percent = 1; percent < 100; percent += 7) {
      cases.push_back({.name = std::string("tokenizer_cut_") + tokenizer + std::to_string(percent),
                       .tokenizer = tokenizer,
                       .damage =
                           [percent](const ModelFolder& folder) {
                             const std::string text = folder.Read("tokenizer.json");
                             folder.Write("tokenizer.json",
                                          std::string_view(text).substr(
                                              0, text.size() * static_cast<size_t>(percent) / 100));
                           },
                       .file = "tokenizer.json",
                       .expected = {"JSON"}});
    }
  }
}

}  // namespace

std::vector<MalformedModel> MalformedTokenizers() {
  std::vector<MalformedModel> cases;
  AddRows(cases, kModelRows);
  AddRows(cases, kStageRows);
  AddRows(cases, kAddedRows);
  AddTruncations(cases);
  for (const LongRow& row : LongRows()) {
    cases.push_back({.name = std::string("tokenizer_") + row.name,
                     .damage =
                         [row](const ModelFolder& folder) {
                           folder.SetJson("tokenizer.json", row.path, row.value);
                         },
                     .file = "tokenizer.json",
                     .expected = {row.expected}});
  }
  return cases;
}

}  // namespace dray::testing
