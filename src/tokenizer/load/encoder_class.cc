#include "tokenizer/load/encoder_class.h"

#include <fmt/format.h>

#include <algorithm>
#include <iterator>
#include <string>
#include <utility>

#include "tokenizer/load/subword_model_load.h"
#include "tokenizer/load/word_rules.h"
#include "tokenizer/steps/added_tokens.h"

namespace dray::tokenizer {
namespace {

constexpr DefaultToken kBertTokens[] = {{"unk_token", "[UNK]"},
                                        {"sep_token", "[SEP]"},
                                        {"pad_token", "[PAD]"},
                                        {"cls_token", "[CLS]"},
                                        {"mask_token", "[MASK]"}};
constexpr DefaultToken kMpnetTokens[] = {
    {"bos_token", "<s>"},   {"eos_token", "</s>"}, {"unk_token", "[UNK]"},  {"sep_token", "</s>"},
    {"pad_token", "<pad>"}, {"cls_token", "<s>"},  {"mask_token", "<mask>"}};
constexpr DefaultToken kRobertaTokens[] = {
    {"bos_token", "<s>"},   {"eos_token", "</s>"}, {"unk_token", "<unk>"},  {"sep_token", "</s>"},
    {"pad_token", "<pad>"}, {"cls_token", "<s>"},  {"mask_token", "<mask>"}};
constexpr DefaultToken kT5Tokens[] = {
    {"eos_token", "</s>"}, {"unk_token", "<unk>"}, {"pad_token", "<pad>"}};

constexpr EncoderClass kClasses[] = {
    {.name = "BertTokenizer",
     .format = VocabFormat::kVocabTxt,
     .model = "WordPiece",
     .tokens = kBertTokens,
     .ends = EncoderClass::Ends::kBert},
    {.name = "MPNetTokenizer",
     .format = VocabFormat::kVocabTxt,
     .model = "WordPiece",
     .tokens = kMpnetTokens,
     .ends = EncoderClass::Ends::kRoberta,
     .spaced_mask = true},
    {.name = "RobertaTokenizer",
     .format = VocabFormat::kVocabAndMerges,
     .model = "BPE",
     .tokens = kRobertaTokens,
     .ends = EncoderClass::Ends::kRoberta},
    {.name = "T5Tokenizer",
     .format = VocabFormat::kSentencePieceFile,
     .model = "Unigram",
     .tokens = kT5Tokens,
     .ends = EncoderClass::Ends::kT5},
};

// Classes that are another one under a name of their own.
struct Alias {
  std::string_view name;
  std::string_view of;
};
constexpr Alias kAliases[] = {
    {"BartTokenizer", "RobertaTokenizer"},     {"ConvBertTokenizer", "BertTokenizer"},
    {"DistilBertTokenizer", "BertTokenizer"},  {"ElectraTokenizer", "BertTokenizer"},
    {"LayoutLMTokenizer", "BertTokenizer"},    {"LongformerTokenizer", "RobertaTokenizer"},
    {"LxmertTokenizer", "BertTokenizer"},      {"MobileBertTokenizer", "BertTokenizer"},
    {"SqueezeBertTokenizer", "BertTokenizer"},
};

constexpr int64_t kUsualExtraIds = 100;
constexpr std::string_view kSentinelBegin = "<extra_id_";

Json Sequence(std::string_view members, Json first, Json second) {
  Json steps = Json::MakeArray();
  steps.Append(std::move(first));
  steps.Append(std::move(second));
  return Json::MakeObject({{"type", "Sequence"}, {std::string(members), std::move(steps)}});
}

Json MetaspaceNode() {
  return Json::MakeObject(
      {{"type", "Metaspace"}, {"replacement", "▁"}, {"prepend_scheme", "always"}, {"split", true}});
}

bool IsCharsmap(const Json& step) {
  const Json* type = step.Find("type");
  return type != nullptr && *type == Json("Precompiled");
}

// The step with a precompiled character map of a normalizer, or null.
Json CharsmapStepOf(const Json* normalizer) {
  if (normalizer == nullptr || !normalizer->is_object()) return nullptr;
  if (IsCharsmap(*normalizer)) return *normalizer;
  const Json* steps = normalizer->Find("normalizers");
  const Json::Array* array = steps != nullptr ? steps->AsArray() : nullptr;
  if (array == nullptr) return nullptr;
  const auto found = std::find_if(array->begin(), array->end(), IsCharsmap);
  return found == array->end() ? Json(nullptr) : *found;
}

Result<int32_t> RoleId(std::string_view role, const TokenizerConfig& config,
                       const TokenizerParts& parts) {
  const std::string* text = config.Named(role);
  const auto id = text != nullptr ? FindToken(parts, *text) : std::nullopt;
  if (id) return *id;
  return Status(StatusCode::kInvalidArgument,
                fmt::format("{}: {} is not a token", role, QuoteText(text ? *text : "")));
}

}  // namespace

const EncoderClass* FindEncoderClass(std::string_view name) {
  for (const Alias& alias : kAliases) {
    if (alias.name == name) name = alias.of;
  }
  const auto* found = std::find_if(std::begin(kClasses), std::end(kClasses),
                                   [&](const EncoderClass& one) { return one.name == name; });
  return found == std::end(kClasses) ? nullptr : found;
}

std::string KnownEncoderClasses() {
  std::string names;
  for (const EncoderClass& one : kClasses) {
    names += (names.empty() ? "" : ", ") + std::string(one.name);
  }
  for (const Alias& alias : kAliases) names += ", " + std::string(alias.name);
  return names;
}

void AddClassTokens(const EncoderClass& encoder, TokenizerConfig& config) {
  for (const DefaultToken& token : encoder.tokens) {
    AddedToken special = SpecialToken(token.text);
    special.lstrip = encoder.spaced_mask && token.name == "mask_token";
    config.SetDefault(token.name, special);
  }
  if (encoder.spaced_mask) {
    NamedToken& mask = config.named_tokens.find("mask_token")->second;
    mask.token.lstrip = mask.token.lstrip || mask.text_alone;
  }
}

void AddSentinels(std::vector<AddedToken> pieces, TokenizerConfig& config) {
  if (config.lists_extra_tokens) return;
  config.extra_special_tokens = std::move(pieces);
  for (int64_t i = 0; i < NumExtraIds(config); ++i) {
    config.extra_special_tokens.push_back(SpecialToken(SentinelText(i)));
  }
}

int64_t NumExtraIds(const TokenizerConfig& config) {
  return config.extra_ids.value_or(kUsualExtraIds);
}

std::string SentinelText(int64_t number) { return fmt::format("{}{}>", kSentinelBegin, number); }

Json T5PreTokenizer() {
  return Sequence("pretokenizers", Json::MakeObject({{"type", "WhitespaceSplit"}}),
                  MetaspaceNode());
}

Json T5Decoder() { return MetaspaceNode(); }

Json BertNormalizerNode(const BertCase& options) {
  return Json::MakeObject({{"type", "BertNormalizer"},
                           {"clean_text", true},
                           {"handle_chinese_chars", options.chinese_chars},
                           {"strip_accents", options.strip_accents.value_or(options.lowercase)},
                           {"lowercase", options.lowercase}});
}

Json BertPreTokenizer() { return Json::MakeObject({{"type", "BertPreTokenizer"}}); }

Json WordPieceDecoder() {
  return Json::MakeObject({{"type", "WordPiece"}, {"prefix", "##"}, {"cleanup", true}});
}

void SetClassSteps(const EncoderClass& encoder, const TokenizerConfig& config,
                   Json& tokenizer_json) {
  switch (encoder.format) {
    case VocabFormat::kVocabTxt:
      tokenizer_json.Set(
          "normalizer",
          BertNormalizerNode({config.do_lower_case.value_or(true), config.strip_accents,
                              config.tokenize_chinese_chars.value_or(true)}));
      tokenizer_json.Set("pre_tokenizer", BertPreTokenizer());
      tokenizer_json.Set("decoder", WordPieceDecoder());
      return;
    case VocabFormat::kVocabAndMerges: {
      const auto prefix =
          config.add_prefix_space.value_or(false) ? PrefixSpace::kAdd : PrefixSpace::kNone;
      tokenizer_json.Set("normalizer", nullptr);
      tokenizer_json.Set("pre_tokenizer", WordRuleNode(Gpt2WordRule(), prefix));
      tokenizer_json.Set("decoder", Json::MakeObject({{"type", "ByteLevel"}}));
      return;
    }
    case VocabFormat::kSentencePieceFile:
      tokenizer_json.Set("normalizer", CharsmapStepOf(tokenizer_json.Find("normalizer")));
      tokenizer_json.Set("pre_tokenizer", T5PreTokenizer());
      tokenizer_json.Set("decoder", T5Decoder());
      return;
  }
}

Result<PostProcessor> MakeClassEnds(const EncoderClass& encoder, const TokenizerConfig& config,
                                    const TokenizerParts& parts) {
  if (encoder.ends == EncoderClass::Ends::kT5) {
    DRAY_ASSIGN_OR_RETURN(const int32_t eos, RoleId("eos_token", config, parts));
    return PostProcessor::T5(eos);
  }
  DRAY_ASSIGN_OR_RETURN(const int32_t cls, RoleId("cls_token", config, parts));
  DRAY_ASSIGN_OR_RETURN(const int32_t sep, RoleId("sep_token", config, parts));
  return encoder.ends == EncoderClass::Ends::kBert ? PostProcessor::Bert(cls, sep)
                                                   : PostProcessor::Roberta(cls, sep);
}

}  // namespace dray::tokenizer
