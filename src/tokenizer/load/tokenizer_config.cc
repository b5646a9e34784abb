// ReadTokenizerConfig: the small files beside tokenizer.json.
#include <fmt/format.h>

#include <algorithm>
#include <map>

#include "base/file.h"
#include "base/parse/json.h"
#include "base/parse/parse_number.h"
#include "tokenizer/load/model_dir.h"
#include "tokenizer/load/tokenizer_json.h"
#include "tokenizer/models/vocab.h"

namespace dray::tokenizer {
namespace {

constexpr uint64_t kMaxConfigBytes = 16 << 20;
constexpr int64_t kMaxExtraIds = 100'000;
constexpr size_t kMaxIdDigits = 20;  // of keys that stand unquoted in messages

// The file as JSON, or nothing if there is no such file.
Result<std::optional<Json>> ReadOptionalJson(const std::filesystem::path& path) {
  if (!HasEntry(path)) return std::optional<Json>();
  DRAY_ASSIGN_OR_RETURN(const std::string text, ReadFile(path, kMaxConfigBytes));
  auto json = Json::Parse(text);
  if (!json.ok()) return json.status().WithPrefix(path.string());
  if (!json->is_object()) {
    return Status(StatusCode::kInvalidArgument, fmt::format("{}: is not an object", path.string()));
  }
  return std::optional<Json>(std::move(json).value());
}

std::string WithoutFast(std::string name) {
  if (name.ends_with("Fast")) name.resize(name.size() - 4);
  return name;
}

// A special token is a string, or an object like an entry of added_tokens.
Result<AddedToken> LoadSpecialToken(const JsonNode& node) {
  AddedToken token;
  if (node.value().is_string()) {
    DRAY_ASSIGN_OR_RETURN(token.content, node.AsString());
    token.normalized = false;
  } else {
    DRAY_ASSIGN_OR_RETURN(token, LoadAddedToken(node));
  }
  token.special = true;
  return token;
}

// Reads what tokenizer_config.json and special_tokens_map.json share. A token that is given later takes
// the place of an earlier one of its name.
Status ReadSpecialTokens(const JsonNode& root, TokenizerConfig& config) {
  for (const std::string_view name : kTokenNames) {
    DRAY_ASSIGN_OR_RETURN(const auto node, root.Find(name));
    if (!node) continue;
    DRAY_ASSIGN_OR_RETURN(AddedToken token, LoadSpecialToken(*node));
    config.named_tokens.insert_or_assign(std::string(name),
                                         NamedToken{std::move(token), node->value().is_string()});
  }
  std::vector<AddedToken>& extra = config.extra_special_tokens;
  for (const std::string_view name : {"extra_special_tokens", "additional_special_tokens"}) {
    DRAY_ASSIGN_OR_RETURN(const auto list, root.Find(name));
    const Json* value = root.value().Find(name);
    if (value != nullptr && !value->is_object()) config.lists_extra_tokens = true;
    if (!list || !list->value().is_array()) continue;
    DRAY_ASSIGN_OR_RETURN(const auto elements, list->Elements());
    if (elements.empty()) continue;
    extra.clear();
    for (const JsonNode& element : elements) {
      DRAY_ASSIGN_OR_RETURN(AddedToken token, LoadSpecialToken(element));
      extra.push_back(std::move(token));
    }
    break;
  }
  return OkStatus();
}

// {"50256": {"content": "<|endoftext|>", ...}, ...}, in the order of the ids.
Status ReadAddedTokensDecoder(const JsonNode& node, std::vector<AddedToken>& tokens) {
  const Json::Object* object = node.value().AsObject();
  if (object == nullptr) return node.Error(StatusCode::kInvalidArgument, "must be an object");
  std::map<int64_t, AddedToken> by_id;
  for (const auto& [key, value] : *object) {
    const JsonNode member(value,
                          node.path() + "." + (key.size() <= kMaxIdDigits ? key : QuoteText(key)));
    const auto id = ParseInt64(key);
    if (!id || *id < 0 || *id > kMaxTokenId) {
      return member.Error(StatusCode::kInvalidArgument,
                          fmt::format("the key is not an id in 0..{}", kMaxTokenId));
    }
    DRAY_ASSIGN_OR_RETURN(AddedToken token, LoadAddedToken(member));
    by_id.insert_or_assign(*id, std::move(token));
  }
  for (auto& [id, token] : by_id) tokens.push_back(std::move(token));
  return OkStatus();
}

Result<std::optional<bool>> FindBool(const JsonNode& root, std::string_view key) {
  DRAY_ASSIGN_OR_RETURN(const auto member, root.Find(key));
  if (!member) return std::optional<bool>();
  DRAY_ASSIGN_OR_RETURN(const bool value, root.GetBool(key));
  return std::optional(value);
}

// The fields that only BERT's and T5's classes read.
Status ReadEncoderFields(const JsonNode& root, TokenizerConfig& config) {
  DRAY_ASSIGN_OR_RETURN(config.do_lower_case, FindBool(root, "do_lower_case"));
  DRAY_ASSIGN_OR_RETURN(config.strip_accents, FindBool(root, "strip_accents"));
  DRAY_ASSIGN_OR_RETURN(config.tokenize_chinese_chars, FindBool(root, "tokenize_chinese_chars"));
  DRAY_ASSIGN_OR_RETURN(const auto extra_ids, root.Find("extra_ids"));
  if (!extra_ids) return OkStatus();
  DRAY_ASSIGN_OR_RETURN(config.extra_ids, extra_ids->AsCount(kMaxExtraIds));
  return OkStatus();
}

Status ReadConfigFields(const JsonNode& root, TokenizerConfig& config) {
  DRAY_ASSIGN_OR_RETURN(std::string name, root.GetString("tokenizer_class", ""));
  config.tokenizer_class = WithoutFast(std::move(name));
  DRAY_ASSIGN_OR_RETURN(config.add_bos_token, root.GetBool("add_bos_token", false));
  DRAY_ASSIGN_OR_RETURN(config.add_eos_token, root.GetBool("add_eos_token", false));
  DRAY_ASSIGN_OR_RETURN(config.add_prefix_space, FindBool(root, "add_prefix_space"));
  DRAY_ASSIGN_OR_RETURN(config.legacy, root.GetBool("legacy", false));
  DRAY_ASSIGN_OR_RETURN(const auto side, root.FindString("truncation_side"));
  if (side && *side != "right" && *side != "left") {
    return JsonNode(root.value(), "truncation_side").Unknown(*side, "left, right");
  }
  if (side == "left") config.truncation_side = TruncationSide::kLeft;
  return ReadEncoderFields(root, config);
}

// {"token": id, ...} of slow tokenizers.
Status ReadAddedTokensFile(const Json& json, TokenizerConfig& config) {
  const auto& named = config.named_tokens;
  const auto& extra = config.extra_special_tokens;
  std::map<int64_t, AddedToken> by_id;
  for (const auto& [content, value] : *json.AsObject()) {
    const JsonNode node(value, QuoteText(content));
    DRAY_ASSIGN_OR_RETURN(const int64_t id, node.AsCount(kMaxTokenId));
    DRAY_RETURN_IF_ERROR(CheckAddedTokenSize(node, content));
    AddedToken token;
    token.content = content;
    const auto is_it = [&](const AddedToken& other) { return other.content == token.content; };
    token.special = std::any_of(named.begin(), named.end(),
                                [&](const auto& member) { return is_it(member.second.token); }) ||
                    std::any_of(extra.begin(), extra.end(), is_it);
    token.normalized = !token.special;
    by_id.insert_or_assign(id, std::move(token));
  }
  for (auto& [id, token] : by_id) config.declared_tokens.push_back(std::move(token));
  return OkStatus();
}

// A special token that is declared with its flags is that token. Returns whether it is.
bool UseDeclared(const std::vector<AddedToken>& declared, AddedToken& token) {
  const auto found = std::find_if(declared.rbegin(), declared.rend(), [&](const AddedToken& other) {
    return other.content == token.content;
  });
  if (found == declared.rend()) return false;
  token = *found;
  return true;
}

// Reads tokenizer_config.json, and the older files that count only if it has no added_tokens_decoder.
Status ReadTokenFiles(const std::filesystem::path& model_dir, TokenizerConfig& config) {
  const auto path = model_dir / "tokenizer_config.json";
  DRAY_ASSIGN_OR_RETURN(const auto main, ReadOptionalJson(path));
  if (main) {
    const JsonNode root(*main, "");
    Status status = ReadConfigFields(root, config);
    if (status.ok()) status = ReadSpecialTokens(root, config);
    const Json* decoder = main->Find("added_tokens_decoder");
    const bool has_decoder = decoder != nullptr && !decoder->is_null();
    if (status.ok() && has_decoder) {
      status = ReadAddedTokensDecoder(JsonNode(*decoder, "added_tokens_decoder"),
                                      config.declared_tokens);
    }
    if (!status.ok()) return status.WithPrefix(path.string());
    if (has_decoder) return OkStatus();
  }
  const auto map_path = model_dir / "special_tokens_map.json";
  DRAY_ASSIGN_OR_RETURN(const auto map, ReadOptionalJson(map_path));
  if (map) {
    const Status status = ReadSpecialTokens(JsonNode(*map, ""), config);
    if (!status.ok()) return status.WithPrefix(map_path.string());
  }
  const auto added_path = model_dir / "added_tokens.json";
  DRAY_ASSIGN_OR_RETURN(const auto added, ReadOptionalJson(added_path));
  if (added) {
    const Status status = ReadAddedTokensFile(*added, config);
    if (!status.ok()) return status.WithPrefix(added_path.string());
  }
  return OkStatus();
}

}  // namespace

const std::string* TokenizerConfig::Named(std::string_view name) const {
  const auto found = named_tokens.find(name);
  return found == named_tokens.end() ? nullptr : &found->second.token.content;
}

void TokenizerConfig::SetDefault(std::string_view name, const AddedToken& token) {
  if (Named(name) != nullptr) return;
  AddedToken& added = named_tokens[std::string(name)].token;
  added = token;
  UseDeclared(declared_tokens, added);
}

Result<TokenizerConfig> ReadTokenizerConfig(const std::filesystem::path& model_dir) {
  TokenizerConfig config;
  DRAY_RETURN_IF_ERROR(ReadTokenFiles(model_dir, config));
  DRAY_ASSIGN_OR_RETURN(const auto model_config, ReadOptionalJson(model_dir / "config.json"));
  if (model_config) {
    const Json* type = model_config->Find("model_type");
    if (type != nullptr && type->is_string()) config.model_type = *type->AsString();
    const Json* name = model_config->Find("tokenizer_class");
    if (config.tokenizer_class.empty() && name != nullptr && name->is_string()) {
      config.tokenizer_class = WithoutFast(*name->AsString());
    }
  }
  for (auto& [name, named] : config.named_tokens) {
    if (UseDeclared(config.declared_tokens, named.token)) named.text_alone = false;
  }
  for (AddedToken& token : config.extra_special_tokens) UseDeclared(config.declared_tokens, token);
  return config;
}

}  // namespace dray::tokenizer
