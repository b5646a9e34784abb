#include "tokenizer/load/model_dir.h"

#include <fmt/format.h>

#include <utility>

#include "base/file.h"
#include "base/log.h"
#include "tokenizer/load/encoder_class.h"
#include "tokenizer/load/tokenizer_class.h"
#include "tokenizer/load/tokenizer_json.h"
#include "tokenizer/load/vocab_dir.h"

namespace dray::tokenizer {
namespace {

constexpr std::string_view kTokenizerJson = "tokenizer.json";

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

Result<TokenizerParts> LoadTokenizerJson(const std::filesystem::path& model_dir,
                                         TokenizerConfig& config) {
  const auto path = model_dir / kTokenizerJson;
  DRAY_ASSIGN_OR_RETURN(Json json, ReadTokenizerJson(path));
  const EncoderClass* encoder = ApplyTokenizerClass(config, json);
  auto parts = LoadParts(JsonNode(json, ""));
  if (!parts.ok()) return parts.status().WithPrefix(path.string());
  WarnOfOtherIds(json, path, parts->added_tokens);
  if (encoder != nullptr) {
    AddClassTokens(*encoder, config);
    if (encoder->format == VocabFormat::kSentencePieceFile) AddSentinels({}, config);
  }
  DRAY_RETURN_IF_ERROR(AddDeclaredTokens(model_dir, config, *parts));
  // add_bos_token does not count: the class's template does, or the file's post_processor.
  if (encoder != nullptr) {
    DRAY_ASSIGN_OR_RETURN(parts->post_processor, MakeClassEnds(*encoder, config, *parts));
  }
  return parts;
}

Result<TokenizerParts> LoadFromDir(const std::filesystem::path& model_dir) {
  DRAY_ASSIGN_OR_RETURN(TokenizerConfig config, ReadTokenizerConfig(model_dir));
  const bool has_json = HasEntry(model_dir / kTokenizerJson);
  DRAY_ASSIGN_OR_RETURN(TokenizerParts parts, has_json ? LoadTokenizerJson(model_dir, config)
                                                       : LoadVocabDir(model_dir, config));
  const std::string* bos = config.Named("bos_token");
  if (bos != nullptr) parts.bos_id = FindToken(parts, *bos);
  const std::string* eos = config.Named("eos_token");
  if (eos != nullptr) parts.eos_id = FindToken(parts, *eos);
  parts.truncation_side = config.truncation_side;
  return parts;
}

}  // namespace

Result<Json> ReadTokenizerJson(const std::filesystem::path& path) {
  DRAY_ASSIGN_OR_RETURN(const std::string text, ReadFile(path, kMaxTokenizerFileBytes));
  auto json = Json::Parse(text);
  if (!json.ok()) return json.status().WithPrefix(path.string());
  return json;
}

Status AddDeclaredTokens(const std::filesystem::path& model_dir, const TokenizerConfig& config,
                         TokenizerParts& parts) {
  const auto add = [&](std::vector<AddedToken> tokens) {
    const Status status =
        parts.added_tokens.Add(std::move(tokens), parts.model->vocab(), parts.normalizer);
    return status.WithPrefix(model_dir.string());
  };
  DRAY_RETURN_IF_ERROR(add(config.declared_tokens));
  for (const std::string_view name : kTokenNames) {
    const auto named = config.named_tokens.find(name);
    if (named == config.named_tokens.end()) continue;
    const AddedToken& token = named->second.token;
    if (!parts.added_tokens.Find(token.content)) DRAY_RETURN_IF_ERROR(add({token}));
  }
  for (const AddedToken& token : config.extra_special_tokens) {
    if (!parts.added_tokens.Find(token.content)) DRAY_RETURN_IF_ERROR(add({token}));
  }
  return OkStatus();
}

bool Tokenizer::HasFiles(const std::filesystem::path& model_dir) {
  return HasEntry(model_dir / kTokenizerJson) || HasVocabFile(model_dir);
}

Result<std::unique_ptr<Tokenizer>> Tokenizer::Load(const std::filesystem::path& model_dir) {
  DRAY_ASSIGN_OR_RETURN(TokenizerParts parts, LoadFromDir(model_dir));
  auto tokenizer = BuildTokenizer(std::move(parts));
  // Only a template of tokenizer.json can be at odds with the ids.
  if (!tokenizer.ok()) return tokenizer.status().WithPrefix((model_dir / kTokenizerJson).string());
  return tokenizer;
}

}  // namespace dray::tokenizer
