#include "tokenizer/load/vocab_dir.h"

#include <fmt/format.h>

#include <string>
#include <utility>

#include "base/file.h"
#include "tokenizer/load/encoder_class.h"
#include "tokenizer/load/subword_model_load.h"
#include "tokenizer/load/tokenizer_class.h"
#include "tokenizer/load/tokenizer_json.h"
#include "tokenizer/load/vocab_files.h"
#include "tokenizer/load/word_rules.h"
#include "tokenizer/steps/added_tokens.h"

namespace dray::tokenizer {
namespace {

namespace fs = std::filesystem;

constexpr std::string_view kVocabTxt = "vocab.txt";
constexpr std::string_view kVocabJson = "vocab.json";
constexpr std::string_view kMergesTxt = "merges.txt";
constexpr std::string_view kSpieceModel = "spiece.model";

Result<std::unique_ptr<const SubwordModel>> LoadVocabAndMerges(const fs::path& model_dir) {
  const auto vocab_path = model_dir / kVocabJson;
  const auto merges_path = model_dir / kMergesTxt;
  DRAY_ASSIGN_OR_RETURN(const Json vocab_json, ReadTokenizerJson(vocab_path));
  auto vocab = LoadVocabObject(JsonNode(vocab_json, ""));
  if (!vocab.ok()) return vocab.status().WithPrefix(vocab_path.string());
  DRAY_ASSIGN_OR_RETURN(const std::string merges_text,
                        ReadFile(merges_path, kMaxTokenizerFileBytes));
  const auto merges = ParseMergeLines(Lines(merges_text));
  if (!merges.ok()) return merges.status().WithPrefix(merges_path.string());
  auto model = BpeModel::Create(std::move(vocab).value(), *merges, BpeOptions{});
  if (!model.ok()) return model.status().WithPrefix(merges_path.string());
  return std::unique_ptr<const SubwordModel>(std::move(model).value());
}

// Byte-level BPE of a decoder.
Result<TokenizerParts> LoadBytePairs(const fs::path& model_dir, const VocabFilesRule& rule,
                                     TokenizerConfig& config) {
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
  if (rule.default_bos) config.SetDefault("bos_token", SpecialToken(kEndOfText));
  config.SetDefault("eos_token", SpecialToken(kEndOfText));
  if (!rule.pad_token.empty()) config.SetDefault("pad_token", SpecialToken(rule.pad_token));
  return parts;
}

Status LoadVocabTxt(const fs::path& model_dir, const TokenizerConfig& config,
                    TokenizerParts& parts) {
  const auto path = model_dir / kVocabTxt;
  DRAY_ASSIGN_OR_RETURN(const std::string text, ReadFile(path, kMaxTokenizerFileBytes));
  auto model = ParseVocabTxt(text, *config.Named("unk_token"));
  if (!model.ok()) return model.status().WithPrefix(path.string());
  parts.model = std::move(model).value();
  return OkStatus();
}

Status LoadSpieceModel(const fs::path& model_dir, TokenizerConfig& config, TokenizerParts& parts) {
  const auto path = model_dir / kSpieceModel;
  DRAY_ASSIGN_OR_RETURN(const std::string bytes, ReadFile(path, kMaxTokenizerFileBytes));
  auto file = ParseSpieceModel(bytes, NumExtraIds(config));
  if (!file.ok()) return file.status().WithPrefix(path.string());
  parts.model = std::move(file->model);
  parts.normalizer = std::move(file->normalizer);
  AddSentinels(std::move(file->added_tokens), config);
  return OkStatus();
}

Result<TokenizerParts> LoadEncoder(const fs::path& model_dir, const EncoderClass& encoder,
                                   TokenizerConfig& config) {
  AddClassTokens(encoder, config);
  TokenizerParts parts;
  Json steps = Json::MakeObject({});
  SetClassSteps(encoder, config, steps);
  DRAY_RETURN_IF_ERROR(LoadSteps(JsonNode(steps, ""), parts));
  switch (encoder.format) {
    case VocabFormat::kVocabTxt:
      DRAY_RETURN_IF_ERROR(LoadVocabTxt(model_dir, config, parts));
      return parts;
    case VocabFormat::kVocabAndMerges: {
      DRAY_ASSIGN_OR_RETURN(parts.model, LoadVocabAndMerges(model_dir));
      return parts;
    }
    case VocabFormat::kSentencePieceFile:
      break;
  }
  DRAY_RETURN_IF_ERROR(LoadSpieceModel(model_dir, config, parts));
  return parts;
}

// The begin and the end of a sequence, as the configuration wants them.
PostProcessor BosEos(const TokenizerConfig& config, const TokenizerParts& parts) {
  const auto ids = [&](bool wanted, std::string_view name) {
    const std::string* text = config.Named(name);
    const auto id = wanted && text != nullptr ? FindToken(parts, *text) : std::nullopt;
    return id ? std::vector<int32_t>{*id} : std::vector<int32_t>();
  };
  return PostProcessor::Around(ids(config.add_bos_token, "bos_token"),
                               ids(config.add_eos_token, "eos_token"));
}

// The encoder's class that the files beside the vocabulary name or, where they say nothing at all, that the
// vocabulary's file belongs to.
const EncoderClass* FindEncoder(const fs::path& model_dir, const TokenizerConfig& config) {
  const bool silent = config.tokenizer_class.empty() && config.model_type.empty();
  if (!silent || HasEntry(model_dir / kVocabJson)) return FindVocabEncoderClass(config);
  return FindEncoderClass(HasEntry(model_dir / kVocabTxt) ? "BertTokenizer" : "T5Tokenizer");
}

}  // namespace

bool HasVocabFile(const fs::path& model_dir) {
  return HasEntry(model_dir / kVocabJson) || HasEntry(model_dir / kVocabTxt) ||
         HasEntry(model_dir / kSpieceModel);
}

Result<TokenizerParts> LoadVocabDir(const fs::path& model_dir, TokenizerConfig& config) {
  if (!HasVocabFile(model_dir)) {
    return Status(
        StatusCode::kNotFound,
        fmt::format("{}: has neither tokenizer.json nor vocab.json with merges.txt, vocab.txt or "
                    "spiece.model; dray reads no other kind of tokenizer file: save the tokenizer "
                    "once with transformers' save_pretrained to get a tokenizer.json",
                    model_dir.string()));
  }
  const EncoderClass* encoder = FindEncoder(model_dir, config);
  if (encoder != nullptr) {
    DRAY_ASSIGN_OR_RETURN(TokenizerParts parts, LoadEncoder(model_dir, *encoder, config));
    DRAY_RETURN_IF_ERROR(AddDeclaredTokens(model_dir, config, parts));
    DRAY_ASSIGN_OR_RETURN(parts.post_processor, MakeClassEnds(*encoder, config, parts));
    return parts;
  }
  const VocabFilesRule* rule = FindVocabFilesRule(config);
  if (rule == nullptr) return UnknownClass(config).WithPrefix(model_dir.string());
  DRAY_ASSIGN_OR_RETURN(TokenizerParts parts, LoadBytePairs(model_dir, *rule, config));
  DRAY_RETURN_IF_ERROR(AddDeclaredTokens(model_dir, config, parts));
  parts.post_processor = BosEos(config, parts);
  return parts;
}

}  // namespace dray::tokenizer
