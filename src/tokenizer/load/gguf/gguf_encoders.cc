#include "tokenizer/load/gguf/gguf_encoders.h"

#include <fmt/format.h>

#include <algorithm>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "tokenizer/load/encoder_class.h"
#include "tokenizer/models/unigram.h"
#include "tokenizer/models/word_models.h"

namespace dray::tokenizer {
namespace {

constexpr std::string_view kWordBegin = "▁";
constexpr std::string_view kContinuation = "##";
constexpr size_t kNumSentinels = 100;  // of T5

// Sets the members of `steps`.
Status SetSteps(const Json& pre_tokenizer, const Json& decoder, TokenizerParts& parts) {
  DRAY_ASSIGN_OR_RETURN(parts.pre_tokenizer,
                        PreTokenizer::Load(JsonNode(pre_tokenizer, "pre_tokenizer")));
  DRAY_ASSIGN_OR_RETURN(parts.decoder, TokenDecoder::Load(JsonNode(decoder, "decoder")));
  return OkStatus();
}

// The map of characters, a list of bytes, signed or not.
Status ReadCharsmap(const GgufVocab& file, TokenizerParts& parts) {
  constexpr std::string_view kKey = "precompiled_charsmap";
  if (!file.Has(kKey)) return OkStatus();
  DRAY_ASSIGN_OR_RETURN(const Json::Array* array, file.Array(kKey));
  std::string bytes;
  bytes.reserve(array->size());
  for (const Json& value : *array) {
    const auto byte = value.AsInt64();
    if (!byte || *byte < INT8_MIN || *byte > UINT8_MAX) {
      return GgufVocab::Error(StatusCode::kInvalidArgument, kKey,
                              fmt::format("element {} is no byte", bytes.size()));
    }
    bytes += static_cast<char>(*byte);
  }
  auto map = Charsmap::FromBytes(bytes);
  if (!map.ok()) return GgufVocab::Error(map.status().code(), kKey, map.status().message());
  parts.normalizer = Normalizer::FromCharsmap(std::move(map).value());
  return OkStatus();
}

// What T5's class cannot do.
Status RefuseFlag(const GgufVocab& file, std::string_view key) {
  DRAY_ASSIGN_OR_RETURN(const bool flag, file.Flag(key, true));
  if (flag) return OkStatus();
  return GgufVocab::Error(StatusCode::kUnsupported, key,
                          "is false, but dray reads only such models with true; put the model's "
                          "tokenizer.json beside the file");
}

// The first of the fillers that are sentinels, or the number of tokens if there are none.
size_t FirstSentinel(const GgufVocab& file) {
  const auto& tokens = file.tokens();
  size_t first = 0;
  for (size_t id = 0; id < tokens.size(); ++id) {
    if (tokens[id].find("<extra_id_") != std::string_view::npos) return tokens.size();
    if (!file.IsFiller(id)) first = id + 1;
  }
  return tokens.size() - first < kNumSentinels ? tokens.size() : first;
}

// Where a file does not name the unknown token: the one that has the type.
Result<std::optional<int32_t>> UnknownId(const GgufVocab& file) {
  DRAY_ASSIGN_OR_RETURN(const auto named, file.TokenId("unknown_token_id"));
  if (named) return named;
  const auto& types = file.types();
  const auto found = std::find(types.begin(), types.end(), int64_t{kGgufUnknown});
  if (found == types.end()) return std::optional<int32_t>();
  return std::optional(static_cast<int32_t>(found - types.begin()));
}

// T5's template where nothing begins a text, and RoBERTa's where something does, as in XLM-RoBERTa.
Status SetSentencePieceEnds(const GgufVocab& file, TokenizerParts& parts) {
  DRAY_RETURN_IF_ERROR(file.AddEnds(parts, {.eos = true}));
  DRAY_ASSIGN_OR_RETURN(const bool bos, file.Flag("add_bos_token", false));
  DRAY_ASSIGN_OR_RETURN(const bool eos, file.Flag("add_eos_token", true));
  if (!eos || !parts.eos_id) return OkStatus();
  parts.post_processor = bos && parts.bos_id ? PostProcessor::Roberta(*parts.bos_id, *parts.eos_id)
                                             : PostProcessor::T5(*parts.eos_id);
  return OkStatus();
}

// Whether a token is of a vocabulary that keeps capital letters. Names in brackets are no words.
bool HasCapital(std::string_view text) {
  if (text.starts_with('[')) return false;
  return std::any_of(text.begin(), text.end(), [](char c) { return c >= 'A' && c <= 'Z'; });
}

// A token as vocab.txt has it.
std::string WordPieceText(std::string_view token, int64_t type) {
  if (type != kGgufNormal) return std::string(token);
  if (token.starts_with(kWordBegin) && token.size() > kWordBegin.size()) {
    return std::string(token.substr(kWordBegin.size()));
  }
  const bool bracketed = token.starts_with('[') && token.ends_with(']') && token.size() > 2;
  return bracketed ? std::string(token) : std::string(kContinuation) + std::string(token);
}

// `options`: what holds where the file has no key.
Status SetBertSteps(const GgufVocab& file, BertCase options, TokenizerParts& parts) {
  constexpr std::string_view kStripAccents = "normalizer.strip_accents";
  DRAY_ASSIGN_OR_RETURN(options.lowercase, file.Flag("normalizer.lowercase", options.lowercase));
  if (file.Has(kStripAccents)) {
    DRAY_ASSIGN_OR_RETURN(options.strip_accents, file.Flag(kStripAccents, true));
  }
  const Json normalizer = BertNormalizerNode(options);
  DRAY_ASSIGN_OR_RETURN(parts.normalizer, Normalizer::Load(JsonNode(normalizer, "normalizer")));
  return SetSteps(BertPreTokenizer(), WordPieceDecoder(), parts);
}

// The id that one of `keys` names, or else of the token `text`.
Result<std::optional<int32_t>> RoleId(const GgufVocab& file, const Vocab& vocab,
                                      std::initializer_list<std::string_view> keys,
                                      std::string_view text) {
  for (const std::string_view key : keys) {
    DRAY_ASSIGN_OR_RETURN(const auto id, file.TokenId(key));
    if (id) return id;
  }
  return vocab.Find(text);
}

Status SetBertEnds(const GgufVocab& file, TokenizerParts& parts) {
  const Vocab& vocab = parts.model->vocab();
  DRAY_RETURN_IF_ERROR(file.AddEnds(parts, {.bos = true, .eos = true}));
  DRAY_ASSIGN_OR_RETURN(const bool bos, file.Flag("add_bos_token", true));
  DRAY_ASSIGN_OR_RETURN(const bool eos, file.Flag("add_eos_token", true));
  if (!bos || !eos) return OkStatus();
  DRAY_ASSIGN_OR_RETURN(const auto cls,
                        RoleId(file, vocab, {"cls_token_id", "bos_token_id"}, "[CLS]"));
  DRAY_ASSIGN_OR_RETURN(
      const auto sep,
      RoleId(file, vocab, {"seperator_token_id", "separator_token_id", "eos_token_id"}, "[SEP]"));
  if (!cls || !sep) {
    return GgufVocab::Error(StatusCode::kInvalidArgument,
                            cls ? "seperator_token_id" : "cls_token_id",
                            "is missing, and no token is called so");
  }
  // Two ends between the texts of a pair: MPNet's template, which is RoBERTa's.
  DRAY_ASSIGN_OR_RETURN(const bool two_ends,
                        file.Flag("add_sep_token", vocab.Text(*sep) == "</s>"));
  parts.post_processor =
      two_ends ? PostProcessor::Roberta(*cls, *sep) : PostProcessor::Bert(*cls, *sep);
  return OkStatus();
}

}  // namespace

Status ReadGgufT5(const GgufVocab& file, TokenizerParts& parts) {
  DRAY_RETURN_IF_ERROR(RefuseFlag(file, "add_space_prefix"));
  DRAY_RETURN_IF_ERROR(RefuseFlag(file, "remove_extra_whitespaces"));
  DRAY_RETURN_IF_ERROR(ReadCharsmap(file, parts));
  DRAY_RETURN_IF_ERROR(SetSteps(T5PreTokenizer(), T5Decoder(), parts));
  DRAY_ASSIGN_OR_RETURN(std::vector<double> scores, file.Scores());
  DRAY_ASSIGN_OR_RETURN(Vocab vocab, file.MakeVocab());
  std::vector<AddedToken> sentinels;
  const size_t first = FirstSentinel(file);
  for (size_t id = 0; id < scores.size(); ++id) {
    // The lowest score decides what an unknown character costs, so that fillers must not have one.
    if (file.IsFiller(id) || file.types()[id] == kGgufUserDefined) scores[id] = 0;
    if (id < first || id - first >= kNumSentinels) continue;
    AddedToken token;
    token.content = SentinelText(static_cast<int64_t>(kNumSentinels - 1 - (id - first)));
    token.normalized = false;
    token.special = true;
    DRAY_RETURN_IF_ERROR(vocab.Add(token.content, static_cast<int32_t>(id)));
    sentinels.push_back(std::move(token));
  }
  DRAY_ASSIGN_OR_RETURN(const auto unk_id, UnknownId(file));
  UnigramOptions options;
  options.unk_id = unk_id;
  auto model = UnigramModel::Create(std::move(vocab), std::move(scores), options);
  if (!model.ok()) return model.status().WithPrefix(GgufVocab::Name("tokens"));
  parts.model = std::move(model).value();
  DRAY_RETURN_IF_ERROR(file.AddTokens(parts));
  DRAY_RETURN_IF_ERROR(
      parts.added_tokens.Add(std::move(sentinels), parts.model->vocab(), parts.normalizer));
  return SetSentencePieceEnds(file, parts);
}

Status ReadGgufBert(const GgufVocab& file, TokenizerParts& parts) {
  Vocab vocab;
  BertCase options;
  for (size_t id = 0; id < file.tokens().size(); ++id) {
    if (file.IsFiller(id)) continue;
    const int64_t type = file.types()[id];
    const std::string text = WordPieceText(file.tokens()[id], type);
    DRAY_RETURN_IF_ERROR(vocab.Add(text, static_cast<int32_t>(id)));
    if (type == kGgufNormal && HasCapital(text)) options.lowercase = false;
  }
  DRAY_RETURN_IF_ERROR(SetBertSteps(file, options, parts));
  DRAY_ASSIGN_OR_RETURN(const auto unk_id, RoleId(file, vocab, {"unknown_token_id"}, "[UNK]"));
  if (!unk_id) {
    return GgufVocab::Error(StatusCode::kInvalidArgument, "unknown_token_id",
                            "is missing, and no token is called [UNK]");
  }
  WordPieceOptions model_options;
  model_options.unk_token = std::string(vocab.Text(*unk_id).value_or(""));
  model_options.continuing_subword_prefix = std::string(kContinuation);
  auto model = WordPieceModel::Create(std::move(vocab), std::move(model_options));
  if (!model.ok()) return model.status().WithPrefix(GgufVocab::Name("tokens"));
  parts.model = std::move(model).value();
  DRAY_RETURN_IF_ERROR(file.AddTokens(parts));
  return SetBertEnds(file, parts);
}

}  // namespace dray::tokenizer
