#include "tokenizer/load/model_dir.h"

#include <fmt/format.h>

#include "base/file.h"
#include "base/log.h"
#include "tokenizer/load/subword_model_load.h"
#include "tokenizer/load/tokenizer_class.h"
#include "tokenizer/load/tokenizer_json.h"
#include "tokenizer/load/word_rules.h"

namespace dray::tokenizer {
namespace {

constexpr uint64_t kMaxMergesBytes = kMaxTokenizerFileBytes;

Result<Json> ReadJson(const std::filesystem::path& path) {
  DRAY_ASSIGN_OR_RETURN(const std::string text, ReadFile(path, kMaxTokenizerFileBytes));
  auto json = Json::Parse(text);
  if (!json.ok()) return json.status().WithPrefix(path.string());
  return json;
}

std::vector<std::string_view> Lines(std::string_view text) {
  std::vector<std::string_view> lines;
  while (!text.empty()) {
    const size_t end = text.find('\n');
    std::string_view line = text.substr(0, end);
    if (line.ends_with('\r')) line.remove_suffix(1);
    lines.push_back(line);
    text.remove_prefix(end == std::string_view::npos ? text.size() : end + 1);
  }
  return lines;
}

Result<std::unique_ptr<const SubwordModel>> LoadVocabAndMerges(
    const std::filesystem::path& model_dir) {
  const auto vocab_path = model_dir / "vocab.json";
  const auto merges_path = model_dir / "merges.txt";
  DRAY_ASSIGN_OR_RETURN(const Json vocab_json, ReadJson(vocab_path));
  auto vocab = LoadVocabObject(JsonNode(vocab_json, ""));
  if (!vocab.ok()) return vocab.status().WithPrefix(vocab_path.string());
  DRAY_ASSIGN_OR_RETURN(const std::string merges_text, ReadFile(merges_path, kMaxMergesBytes));
  const auto merges = ParseMergeLines(Lines(merges_text));
  if (!merges.ok()) return merges.status().WithPrefix(merges_path.string());
  auto model = BpeModel::Create(std::move(vocab).value(), *merges, BpeOptions{});
  if (!model.ok()) return model.status().WithPrefix(merges_path.string());
  return std::unique_ptr<const SubwordModel>(std::move(model).value());
}

AddedToken SpecialToken(std::string_view content) {
  AddedToken token;
  token.content = content;
  token.normalized = false;
  token.special = true;
  return token;
}

// The special tokens that a class has where the files name none.
void AddDefaultTokens(const VocabFilesRule& rule, TokenizerConfig& config) {
  const auto add = [&](std::optional<std::string>& token, std::string_view missing) {
    if (token || missing.empty()) return;
    token = missing;
    config.special_tokens.push_back(SpecialToken(missing));
  };
  add(config.bos_token, rule.default_bos ? kEndOfText : "");
  add(config.eos_token, kEndOfText);
  add(config.pad_token, rule.pad_token);
}

// vocab.json and merges.txt, with the steps around them that the tokenizer's class has built in.
Result<TokenizerParts> LoadVocabFiles(const std::filesystem::path& model_dir,
                                      TokenizerConfig& config) {
  const auto found = FindVocabFilesRule(config);
  if (!found.ok()) return found.status().WithPrefix(model_dir.string());
  const VocabFilesRule& rule = **found;
  TokenizerParts parts;
  if (rule.nfc) {
    const Json nfc = Json::MakeObject({{"type", "NFC"}});
    DRAY_ASSIGN_OR_RETURN(parts.normalizer, Normalizer::Load(JsonNode(nfc, "normalizer")));
  }
  const auto prefix =
      config.add_prefix_space.value_or(false) ? PrefixSpace::kAdd : PrefixSpace::kNone;
  const Json words = WordRuleNode(*FindWordRule(rule.words), prefix);
  DRAY_ASSIGN_OR_RETURN(parts.pre_tokenizer, PreTokenizer::Load(JsonNode(words, "pre_tokenizer")));
  const Json decoder = Json::MakeObject({{"type", "ByteLevel"}});
  DRAY_ASSIGN_OR_RETURN(parts.decoder, TokenDecoder::Load(JsonNode(decoder, "decoder")));
  DRAY_ASSIGN_OR_RETURN(parts.model, LoadVocabAndMerges(model_dir));
  AddDefaultTokens(rule, config);
  return parts;
}

// As in the reference, a file's own ids of added tokens are ignored. If they differ, the maker of
// the file should know, so this warns.
void WarnOfOtherIds(const Json& json, const std::filesystem::path& path,
                    const AddedTokens& tokens) {
  const Json* list = json.Find("added_tokens");
  if (list == nullptr || !list->is_array()) return;
  for (const Json& element : *list->AsArray()) {
    const std::string& content = *element.Find("content")->AsString();
    const auto id = tokens.Find(content);
    if (!id || element.Find("id")->AsInt64() == *id) continue;
    return LogWarning(
        fmt::format("{}: added_tokens: {} has the id {} there, but gets {}: it is in "
                    "the vocabulary with that id, or the ids before it have a hole",
                    path.string(), QuoteText(content), element.Find("id")->Dump(), *id));
  }
}

// Adds what the files beside tokenizer.json declare. A special token that is there already stays as
// it is.
Status AddDeclaredTokens(const TokenizerConfig& config, TokenizerParts& parts) {
  const Vocab& vocab = parts.model->vocab();
  DRAY_RETURN_IF_ERROR(parts.added_tokens.Add(config.declared_tokens, vocab, parts.normalizer));
  for (const AddedToken& token : config.special_tokens) {
    if (parts.added_tokens.Find(token.content)) continue;
    DRAY_RETURN_IF_ERROR(parts.added_tokens.Add({token}, vocab, parts.normalizer));
  }
  return OkStatus();
}

void SetBosEos(const TokenizerConfig& config, TokenizerParts& parts) {
  if (config.bos_token) parts.bos_id = FindToken(parts, *config.bos_token);
  if (config.eos_token) parts.eos_id = FindToken(parts, *config.eos_token);
}

void AddBosEos(const TokenizerConfig& config, TokenizerParts& parts) {
  std::vector<int32_t> before;
  std::vector<int32_t> after;
  if (config.add_bos_token && parts.bos_id) before.push_back(*parts.bos_id);
  if (config.add_eos_token && parts.eos_id) after.push_back(*parts.eos_id);
  parts.post_processor = PostProcessor::Around(std::move(before), std::move(after));
}

Result<TokenizerParts> LoadFromDir(const std::filesystem::path& model_dir) {
  DRAY_ASSIGN_OR_RETURN(TokenizerConfig config, ReadTokenizerConfig(model_dir));
  const auto json_path = model_dir / "tokenizer.json";
  if (HasEntry(json_path)) {
    DRAY_ASSIGN_OR_RETURN(Json json, ReadJson(json_path));
    ApplyTokenizerClass(config, json);
    auto parts = LoadParts(JsonNode(json, ""));
    if (!parts.ok()) return parts.status().WithPrefix(json_path.string());
    WarnOfOtherIds(json, json_path, parts->added_tokens);
    const Status added = AddDeclaredTokens(config, *parts);
    if (!added.ok()) return added.WithPrefix(model_dir.string());
    SetBosEos(config, *parts);  // but add_bos_token does not count: the file's post_processor does
    return parts;
  }
  if (!HasEntry(model_dir / "vocab.json")) {
    return Status(
        StatusCode::kNotFound,
        fmt::format("{}: has neither tokenizer.json nor vocab.json with merges.txt; dray reads "
                    "no other kind of tokenizer file: save the tokenizer once with "
                    "transformers' save_pretrained to get a tokenizer.json",
                    model_dir.string()));
  }
  DRAY_ASSIGN_OR_RETURN(TokenizerParts parts, LoadVocabFiles(model_dir, config));
  const Status added = AddDeclaredTokens(config, parts);
  if (!added.ok()) return added.WithPrefix(model_dir.string());
  SetBosEos(config, parts);
  AddBosEos(config, parts);
  return parts;
}

}  // namespace

Result<std::unique_ptr<Tokenizer>> Tokenizer::Load(const std::filesystem::path& model_dir) {
  DRAY_ASSIGN_OR_RETURN(TokenizerParts parts, LoadFromDir(model_dir));
  auto tokenizer = BuildTokenizer(std::move(parts));
  // Only a template of tokenizer.json can be at odds with the ids.
  if (!tokenizer.ok())
    return tokenizer.status().WithPrefix((model_dir / "tokenizer.json").string());
  return tokenizer;
}

}  // namespace dray::tokenizer
