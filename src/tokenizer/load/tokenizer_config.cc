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

constexpr std::string_view kNamedTokens[] = {"bos_token", "eos_token", "unk_token", "sep_token",
                                             "pad_token", "cls_token", "mask_token"};

// Special tokens by name; one given later takes the place of an earlier one.
using NamedTokens = std::map<std::string, AddedToken, std::less<>>;

// Reads what tokenizer_config.json and special_tokens_map.json share.
Status ReadSpecialTokens(const JsonNode& root, NamedTokens& named, std::vector<AddedToken>& extra) {
  for (const std::string_view name : kNamedTokens) {
    DRAY_ASSIGN_OR_RETURN(const auto node, root.Find(name));
    if (!node) continue;
    DRAY_ASSIGN_OR_RETURN(AddedToken token, LoadSpecialToken(*node));
    named.insert_or_assign(std::string(name), std::move(token));
  }
  for (const std::string_view name : {"extra_special_tokens", "additional_special_tokens"}) {
    DRAY_ASSIGN_OR_RETURN(const auto list, root.Find(name));
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

Status ReadConfigFields(const JsonNode& root, TokenizerConfig& config) {
  DRAY_ASSIGN_OR_RETURN(std::string name, root.GetString("tokenizer_class", ""));
  config.tokenizer_class = WithoutFast(std::move(name));
  DRAY_ASSIGN_OR_RETURN(config.add_bos_token, root.GetBool("add_bos_token", false));
  DRAY_ASSIGN_OR_RETURN(config.add_eos_token, root.GetBool("add_eos_token", false));
  DRAY_ASSIGN_OR_RETURN(const auto prefix, root.Find("add_prefix_space"));
  if (prefix) {
    DRAY_ASSIGN_OR_RETURN(config.add_prefix_space, root.GetBool("add_prefix_space"));
  }
  DRAY_ASSIGN_OR_RETURN(config.legacy, root.GetBool("legacy", false));
  return OkStatus();
}

// {"token": id, ...} of slow tokenizers.
Status ReadAddedTokensFile(const Json& json, const NamedTokens& named,
                           const std::vector<AddedToken>& extra, std::vector<AddedToken>& tokens) {
  std::map<int64_t, AddedToken> by_id;
  for (const auto& [content, value] : *json.AsObject()) {
    const JsonNode node(value, QuoteText(content));
    DRAY_ASSIGN_OR_RETURN(const int64_t id, node.AsCount(kMaxTokenId));
    DRAY_RETURN_IF_ERROR(CheckAddedTokenSize(node, content));
    AddedToken token;
    token.content = content;
    const auto is_it = [&](const AddedToken& other) { return other.content == token.content; };
    token.special = std::any_of(named.begin(), named.end(),
                                [&](const auto& member) { return is_it(member.second); }) ||
                    std::any_of(extra.begin(), extra.end(), is_it);
    token.normalized = !token.special;
    by_id.insert_or_assign(id, std::move(token));
  }
  for (auto& [id, token] : by_id) tokens.push_back(std::move(token));
  return OkStatus();
}

// A named token that is declared with its properties is that token.
void UseDeclared(const std::vector<AddedToken>& declared, AddedToken& token) {
  for (const AddedToken& other : declared) {
    if (other.content == token.content) token = other;
  }
}

}  // namespace

Result<TokenizerConfig> ReadTokenizerConfig(const std::filesystem::path& model_dir) {
  TokenizerConfig config;
  NamedTokens named;
  std::vector<AddedToken> extra;
  const auto path = model_dir / "tokenizer_config.json";
  DRAY_ASSIGN_OR_RETURN(const auto main, ReadOptionalJson(path));
  bool has_decoder = false;
  if (main) {
    const JsonNode root(*main, "");
    Status status = ReadConfigFields(root, config);
    if (status.ok()) status = ReadSpecialTokens(root, named, extra);
    const Json* decoder = main->Find("added_tokens_decoder");
    has_decoder = decoder != nullptr && !decoder->is_null();
    if (status.ok() && has_decoder) {
      status = ReadAddedTokensDecoder(JsonNode(*decoder, "added_tokens_decoder"),
                                      config.declared_tokens);
    }
    if (!status.ok()) return status.WithPrefix(path.string());
  }
  if (!has_decoder) {  // the older files count only without it
    const auto map_path = model_dir / "special_tokens_map.json";
    DRAY_ASSIGN_OR_RETURN(const auto map, ReadOptionalJson(map_path));
    if (map) {
      const Status status = ReadSpecialTokens(JsonNode(*map, ""), named, extra);
      if (!status.ok()) return status.WithPrefix(map_path.string());
    }
    const auto added_path = model_dir / "added_tokens.json";
    DRAY_ASSIGN_OR_RETURN(const auto added, ReadOptionalJson(added_path));
    if (added) {
      const Status status = ReadAddedTokensFile(*added, named, extra, config.declared_tokens);
      if (!status.ok()) return status.WithPrefix(added_path.string());
    }
  }
  DRAY_ASSIGN_OR_RETURN(const auto model_config, ReadOptionalJson(model_dir / "config.json"));
  if (model_config) {
    const Json* type = model_config->Find("model_type");
    if (type != nullptr && type->is_string()) config.model_type = *type->AsString();
    const Json* name = model_config->Find("tokenizer_class");
    if (config.tokenizer_class.empty() && name != nullptr && name->is_string()) {
      config.tokenizer_class = WithoutFast(*name->AsString());
    }
  }
  for (const std::string_view name : kNamedTokens) {
    const auto token = named.find(name);
    if (token == named.end()) continue;
    UseDeclared(config.declared_tokens, token->second);
    if (name == "bos_token") config.bos_token = token->second.content;
    if (name == "eos_token") config.eos_token = token->second.content;
    if (name == "pad_token") config.pad_token = token->second.content;
    config.special_tokens.push_back(token->second);
  }
  for (AddedToken& token : extra) {
    UseDeclared(config.declared_tokens, token);
    config.special_tokens.push_back(std::move(token));
  }
  return config;
}

}  // namespace dray::tokenizer
