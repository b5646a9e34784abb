#include "tokenizer/load/gguf/gguf_vocab.h"

#include <fmt/format.h>

#include <cmath>
#include <utility>

namespace dray::tokenizer {

std::string GgufVocab::Name(std::string_view key) { return fmt::format("tokenizer.ggml.{}", key); }

Status GgufVocab::Error(StatusCode code, std::string_view key, std::string_view problem) {
  return {code, fmt::format("{}: {}", Name(key), problem)};
}

Result<GgufVocab> GgufVocab::Load(const Json& metadata) {
  GgufVocab vocab(metadata);
  DRAY_RETURN_IF_ERROR(vocab.ReadTokens());
  return vocab;
}

Result<const Json::Array*> GgufVocab::Array(std::string_view key) const {
  const Json* value = Find(key);
  if (value == nullptr) return Error(StatusCode::kInvalidArgument, key, "is missing");
  const Json::Array* array = value->AsArray();
  if (array == nullptr) {
    return Error(StatusCode::kInvalidArgument, key,
                 fmt::format("is a {}, not an array", value->KindName()));
  }
  return array;
}

Result<const Json::Array*> GgufVocab::ArrayOfTokens(std::string_view key) const {
  if (Find(key) == nullptr) return static_cast<const Json::Array*>(nullptr);
  DRAY_ASSIGN_OR_RETURN(const Json::Array* array, Array(key));
  if (array->size() != tokens_.size()) {
    return Error(StatusCode::kCorrupt, key,
                 fmt::format("has {} elements for {} tokens", array->size(), tokens_.size()));
  }
  return array;
}

Result<std::string> GgufVocab::Text(std::string_view key, std::string_view missing) const {
  const Json* value = Find(key);
  if (value == nullptr) return std::string(missing);
  const std::string* text = value->AsString();
  if (text == nullptr) return Error(StatusCode::kInvalidArgument, key, "is no text");
  return *text;
}

Result<bool> GgufVocab::Flag(std::string_view key, bool missing) const {
  const Json* value = Find(key);
  if (value == nullptr) return missing;
  const auto flag = value->AsBool();
  if (!flag) return Error(StatusCode::kInvalidArgument, key, "is no boolean");
  return *flag;
}

Result<std::optional<int32_t>> GgufVocab::TokenId(std::string_view key) const {
  const Json* value = Find(key);
  if (value == nullptr) return std::optional<int32_t>();
  if (!value->is_number()) return Error(StatusCode::kInvalidArgument, key, "is no token id");
  // Files say "none" by leaving the key out, or by a number that no token has: -1, 4294967295.
  const auto id = value->AsInt64();
  if (!id || *id < 0 || static_cast<uint64_t>(*id) >= tokens_.size()) {
    return std::optional<int32_t>();
  }
  return std::optional(static_cast<int32_t>(*id));
}

Status GgufVocab::ReadTokens() {
  DRAY_ASSIGN_OR_RETURN(const Json::Array* array, Array("tokens"));
  if (array->empty() || array->size() > kMaxVocabTokens) {
    return Error(StatusCode::kResourceExhausted, "tokens",
                 fmt::format("has {} tokens, not 1 to {}", array->size(), size_t{kMaxVocabTokens}));
  }
  tokens_.reserve(array->size());
  for (const Json& token : *array) {
    const std::string* text = token.AsString();
    if (text == nullptr) {
      return Error(
          StatusCode::kInvalidArgument, "tokens",
          fmt::format("element {} is a {}, not a string", tokens_.size(), token.KindName()));
    }
    tokens_.push_back(*text);
  }
  return ReadTypes();
}

Status GgufVocab::ReadTypes() {
  types_.assign(tokens_.size(), kGgufNormal);
  DRAY_ASSIGN_OR_RETURN(const Json::Array* array, ArrayOfTokens("token_type"));
  if (array == nullptr) return OkStatus();
  for (size_t i = 0; i < types_.size(); ++i) {
    const auto type = (*array)[i].AsInt64();
    if (!type || *type < kGgufNormal || *type > kGgufByte) {
      return Error(
          StatusCode::kInvalidArgument, "token_type",
          fmt::format("element {} is {}, not one of {} to {}", i, (*array)[i].Dump().substr(0, 40),
                      int64_t{kGgufNormal}, int64_t{kGgufByte}));
    }
    types_[i] = *type;
  }
  return OkStatus();
}

Result<std::vector<double>> GgufVocab::Scores() const {
  DRAY_ASSIGN_OR_RETURN(const Json::Array* array, ArrayOfTokens("scores"));
  if (array == nullptr) return Error(StatusCode::kInvalidArgument, "scores", "is missing");
  std::vector<double> scores;
  scores.reserve(array->size());
  for (const Json& value : *array) {
    const auto score = value.AsDouble();
    if (!score || !std::isfinite(*score)) {
      return Error(StatusCode::kInvalidArgument, "scores",
                   fmt::format("element {} is no finite number", scores.size()));
    }
    // The file has 32 bits of a score. The metadata gives the double of their shortest digits, which is
    // another number; of cuts that are equally likely the last bit decides.
    scores.push_back(static_cast<float>(*score));
  }
  return scores;
}

bool GgufVocab::IsFiller(size_t id) const {
  return types_[id] == kGgufUnused && tokens_[id].starts_with("[PAD");
}

Result<Vocab> GgufVocab::MakeVocab() const {
  size_t bytes = 0;
  for (const std::string_view token : tokens_) bytes += token.size();
  Vocab vocab;
  vocab.Reserve(tokens_.size(), bytes);
  for (size_t i = 0; i < tokens_.size(); ++i) {
    if (IsFiller(i)) continue;
    DRAY_RETURN_IF_ERROR(vocab.Add(tokens_[i], static_cast<int32_t>(i)));
  }
  return vocab;
}

Status GgufVocab::AddTokens(TokenizerParts& parts) const {
  std::vector<AddedToken> added;
  for (size_t i = 0; i < tokens_.size(); ++i) {
    const bool special = types_[i] == kGgufControl || types_[i] == kGgufUnknown;
    if ((!special && types_[i] != kGgufUserDefined) || tokens_[i].empty()) continue;
    if (tokens_[i].size() > AddedTokens::kMaxContentBytes) {
      return Error(StatusCode::kResourceExhausted, "tokens",
                   fmt::format("element {} has {} bytes, above the limit of {} for a control token",
                               i, tokens_[i].size(), size_t{AddedTokens::kMaxContentBytes}));
    }
    AddedToken token;
    token.content = tokens_[i];
    token.normalized = false;
    token.special = special;
    added.push_back(std::move(token));
  }
  return parts.added_tokens.Add(std::move(added), parts.model->vocab(), parts.normalizer);
}

Status GgufVocab::AddEnds(TokenizerParts& parts, const GgufEnds& missing) const {
  DRAY_ASSIGN_OR_RETURN(const auto bos_id, TokenId("bos_token_id"));
  if (bos_id) parts.bos_id = bos_id;
  DRAY_ASSIGN_OR_RETURN(const auto eos_id, TokenId("eos_token_id"));
  if (eos_id) parts.eos_id = eos_id;
  DRAY_ASSIGN_OR_RETURN(const bool bos, Flag("add_bos_token", missing.bos));
  DRAY_ASSIGN_OR_RETURN(const bool eos, Flag("add_eos_token", missing.eos));
  std::vector<int32_t> before;
  std::vector<int32_t> after;
  if (bos && parts.bos_id) before.push_back(*parts.bos_id);
  if (eos && parts.eos_id) after.push_back(*parts.eos_id);
  parts.post_processor = PostProcessor::Around(std::move(before), std::move(after));
  return OkStatus();
}

}  // namespace dray::tokenizer
