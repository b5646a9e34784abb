#include "tokenizer/load/tokenizer_json.h"

#include <fmt/format.h>

#include "tokenizer/load/subword_model_load.h"

namespace dray::tokenizer {

Status CheckAddedTokenSize(const JsonNode& node, std::string_view content) {
  if (content.size() <= AddedTokens::kMaxContentBytes) return OkStatus();
  return node.Error(StatusCode::kResourceExhausted,
                    fmt::format("has {} bytes, above the limit of {} for an added token",
                                content.size(), AddedTokens::kMaxContentBytes));
}

Result<AddedToken> LoadAddedToken(const JsonNode& node) {
  AddedToken token;
  DRAY_ASSIGN_OR_RETURN(const JsonNode content, node.Get("content"));
  DRAY_ASSIGN_OR_RETURN(token.content, content.AsString());
  DRAY_RETURN_IF_ERROR(CheckAddedTokenSize(content, token.content));
  DRAY_ASSIGN_OR_RETURN(token.single_word, node.GetBool("single_word", false));
  DRAY_ASSIGN_OR_RETURN(token.lstrip, node.GetBool("lstrip", false));
  DRAY_ASSIGN_OR_RETURN(token.rstrip, node.GetBool("rstrip", false));
  DRAY_ASSIGN_OR_RETURN(token.special, node.GetBool("special", false));
  DRAY_ASSIGN_OR_RETURN(token.normalized, node.GetBool("normalized", !token.special));
  return token;
}

Status LoadSteps(const JsonNode& root, TokenizerParts& parts) {
  DRAY_ASSIGN_OR_RETURN(const auto normalizer, root.Find("normalizer"));
  if (normalizer) {
    DRAY_ASSIGN_OR_RETURN(parts.normalizer, Normalizer::Load(*normalizer));
  }
  DRAY_ASSIGN_OR_RETURN(const auto pre_tokenizer, root.Find("pre_tokenizer"));
  if (pre_tokenizer) {
    DRAY_ASSIGN_OR_RETURN(parts.pre_tokenizer, PreTokenizer::Load(*pre_tokenizer));
  }
  DRAY_ASSIGN_OR_RETURN(const auto decoder, root.Find("decoder"));
  if (decoder) {
    DRAY_ASSIGN_OR_RETURN(parts.decoder, TokenDecoder::Load(*decoder));
  }
  return OkStatus();
}

Result<TokenizerParts> LoadParts(const JsonNode& root) {
  TokenizerParts parts;
  DRAY_ASSIGN_OR_RETURN(const auto version, root.FindString("version"));
  if (version && *version != "1.0") {
    return JsonNode(root.value(), "version").Unknown(*version, "1.0");
  }
  DRAY_RETURN_IF_ERROR(LoadSteps(root, parts));
  DRAY_ASSIGN_OR_RETURN(const auto post_processor, root.Find("post_processor"));
  if (post_processor) {
    DRAY_ASSIGN_OR_RETURN(parts.post_processor, PostProcessor::Load(*post_processor));
  }
  DRAY_ASSIGN_OR_RETURN(const JsonNode model, root.Get("model"));
  DRAY_ASSIGN_OR_RETURN(parts.model, LoadSubwordModel(model, !parts.pre_tokenizer.cuts()));
  DRAY_ASSIGN_OR_RETURN(const auto added, root.Find("added_tokens"));
  std::vector<AddedToken> tokens;
  if (added) {
    DRAY_ASSIGN_OR_RETURN(const auto elements, added->Elements());
    tokens.reserve(elements.size());
    for (const JsonNode& element : elements) {
      DRAY_ASSIGN_OR_RETURN(AddedToken token, LoadAddedToken(element));
      // The id that counts is given when the token is added; this one must be an id all the same.
      DRAY_RETURN_IF_ERROR(element.GetCount("id", kMaxTokenId).status());
      tokens.push_back(std::move(token));
    }
  }
  const Status status =
      parts.added_tokens.Add(std::move(tokens), parts.model->vocab(), parts.normalizer);
  if (!status.ok()) return status.WithPrefix("added_tokens");
  return parts;
}

Result<std::unique_ptr<Tokenizer>> Tokenizer::FromJson(std::string_view tokenizer_json) {
  DRAY_ASSIGN_OR_RETURN(const Json json, Json::Parse(tokenizer_json));
  DRAY_ASSIGN_OR_RETURN(TokenizerParts parts, LoadParts(JsonNode(json, "")));
  return BuildTokenizer(std::move(parts));
}

}  // namespace dray::tokenizer
