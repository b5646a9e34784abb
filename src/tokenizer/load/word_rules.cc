#include "tokenizer/load/word_rules.h"

#include <utility>

namespace dray::tokenizer {
namespace {

// As the models' own tokenizer.json files write them.
constexpr std::string_view kLlama3 =
    R"((?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+)";
constexpr std::string_view kQwen2 =
    R"((?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+)";
constexpr std::string_view kTekken =
    R"([^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]*[\p{Ll}\p{Lm}\p{Lo}\p{M}]+|[^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]+[\p{Ll}\p{Lm}\p{Lo}\p{M}]*|\p{N}| ?[^\s\p{L}\p{N}]+[\r\n/]*|\s*[\r\n]+|\s+(?!\S)|\s+)";
constexpr std::string_view kGpt4o =
    R"([^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]*[\p{Ll}\p{Lm}\p{Lo}\p{M}]+(?i:'s|'t|'re|'ve|'m|'ll|'d)?|[^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]+[\p{Ll}\p{Lm}\p{Lo}\p{M}]*(?i:'s|'t|'re|'ve|'m|'ll|'d)?|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n/]*|\s*[\r\n]+|\s+(?!\S)|\s+)";
constexpr std::string_view kBloom = R"( ?[^(\s|[.,!?…。，、।۔،])]+)";

constexpr std::string_view kSeedCoder =
    R"((?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1}| ?[^\s\p{L}\p{N}\r\n]+|\s*[\r\n]+|\s+(?!\S)|\s+)";
constexpr std::string_view kCjk = "[一-龥ࠀ-一가-퟿]+";
// The letters of the Latin, Greek, Cyrillic, Armenian, Georgian, Cherokee, Glagolitic, Coptic and
// Deseret scripts and their like, as DeepSeek's tokenizer lists them.
constexpr std::string_view kDeepSeekLetters =
    R"(\s?[A-Za-zµÀ-ÖØ-öø-ƺƼ-ƿǄ-ʓʕ-ʯͰ-ͳͶͷͻ-ͽͿΆΈ-ΊΌΎ-ΡΣ-ϵϷ-ҁҊ-ԯԱ-ՖႠ-ჅᎠ-Ᏽᏸ-ᏽᲐ-ᲺᲽ-Ჿᴀ-ᴫᵫ-ᵷᵹ-ᶚḀ-ἕἘ-Ἕἠ-ὅὈ-Ὅὐ-ὗὙὛὝὟ-ώᾀ-ᾴᾶ-ᾼιῂ-ῄῆ-ῌῐ-ΐῖ-Ίῠ-Ῥῲ-ῴῶ-ῼℂℇℊ-ℓℕℙ-ℝℤΩℨK-ℭℯ-ℴℹℼ-ℿⅅ-ⅉⅎↃↄⰀ-ⱻⱾ-ⳤⳫ-ⳮⳲⳳꙀ-ꙭꚀ-ꚛꜢ-ꝯꝱ-ꞇꞋ-ꞎꭰ-ꮿﬀ-ﬆﬓ-ﬗＡ-Ｚａ-ｚ𐐀-𐑏𐒰-𐓓𐓘-𐓻𐲀-𐲲𐳀-𐳲𑢠-𑣟𞤀-𞥃]+)";
constexpr std::string_view kDeepSeekSigns = R"(\s?[!-/:-~！-／：-～‘-‟　-。]+)";
constexpr std::string_view kDeepSeek3 =
    R"([!"#$%&'()*+,\-./:;<=>?@\[\\\]^_`{|}~][A-Za-z]+|[^\r\n\p{L}\p{P}\p{S}]?[\p{L}\p{M}]+| ?[\p{P}\p{S}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+)";

constexpr WordCut kGpt2Cuts[] = {{WordCut::Kind::kGpt2}};
constexpr WordCut kDigitsCuts[] = {{WordCut::Kind::kDigits}, {WordCut::Kind::kGpt2}};
constexpr WordCut kLlama3Cuts[] = {{.pattern = kLlama3}};
constexpr WordCut kQwen2Cuts[] = {{.pattern = kQwen2}};
constexpr WordCut kTekkenCuts[] = {{.pattern = kTekken}};
constexpr WordCut kGpt4oCuts[] = {{.pattern = kGpt4o}};
constexpr WordCut kBloomCuts[] = {{.pattern = kBloom}};
constexpr WordCut kSeedCoderCuts[] = {{.pattern = kSeedCoder}};
constexpr WordCut kDeepSeekLlmCuts[] = {
    {.pattern = R"([\r\n])"},    {.pattern = kDeepSeekLetters},
    {.pattern = kDeepSeekSigns}, {.pattern = R"(\s+$)"},
    {.pattern = kCjk},           {WordCut::Kind::kDigits},
};
constexpr WordCut kDeepSeekCoderCuts[] = {
    {.pattern = R"([\r\n])"}, {.pattern = R"(\s?\p{L}+)"}, {.pattern = R"(\s?\p{P}+)"},
    {.pattern = kCjk},        {WordCut::Kind::kDigits},
};
constexpr WordCut kDeepSeek3Cuts[] = {
    {.pattern = R"(\p{N}{1,3})"}, {.pattern = "[一-龥぀-ゟ゠-ヿ]+"}, {.pattern = kDeepSeek3}};
constexpr WordCut kFalconCuts[] = {
    {WordCut::Kind::kPunctuation},
    {WordCut::Kind::kGpt2},
    {WordCut::Kind::kDigitRuns},
    {.pattern = "[0-9][0-9][0-9]"},
};

constexpr WordRule kGpt2Rule = {.cuts = kGpt2Cuts};
constexpr WordRule kGpt2NfcRule = {.cuts = kGpt2Cuts, .nfc = true};
constexpr WordRule kDigitsRule = {.cuts = kDigitsCuts};
constexpr WordRule kLlama3Rule = {.cuts = kLlama3Cuts, .ignore_merges = true, .add_bos = true};
constexpr WordRule kPlainLlama3Rule = {.cuts = kLlama3Cuts};
constexpr WordRule kGlm4Rule = {.cuts = kLlama3Cuts, .ignore_merges = true};
constexpr WordRule kQwen2Rule = {.cuts = kQwen2Cuts, .nfc = true};
constexpr WordRule kPlainQwen2Rule = {.cuts = kQwen2Cuts};
constexpr WordRule kTekkenRule = {.cuts = kTekkenCuts, .ignore_merges = true, .add_bos = true};
constexpr WordRule kGpt4oRule = {.cuts = kGpt4oCuts};
constexpr WordRule kBloomRule = {.cuts = kBloomCuts};
constexpr WordRule kSeedCoderRule = {.cuts = kSeedCoderCuts};
constexpr WordRule kDeepSeekLlmRule = {.cuts = kDeepSeekLlmCuts};
constexpr WordRule kDeepSeekCoderRule = {.cuts = kDeepSeekCoderCuts};
constexpr WordRule kDeepSeek3Rule = {.cuts = kDeepSeek3Cuts};
constexpr WordRule kFalconRule = {.cuts = kFalconCuts};

struct NamedRule {
  std::string_view name;
  const WordRule* rule;
};

constexpr NamedRule kRules[] = {
    {"a.x-4.0", &kGpt2Rule},
    {"bloom", &kBloomRule},
    {"chatglm-bpe", &kPlainLlama3Rule},
    {"codeshell", &kDigitsRule},
    {"command-r", &kDigitsRule},
    {"dbrx", &kPlainLlama3Rule},
    {"deepseek-coder", &kDeepSeekCoderRule},
    {"deepseek-llm", &kDeepSeekLlmRule},
    {"deepseek-r1-qwen", &kPlainQwen2Rule},
    {"deepseek-v3", &kDeepSeek3Rule},
    {"default", &kGpt2Rule},
    {"exaone", &kDigitsRule},
    {"exaone4", &kGpt2Rule},
    {"f2llmv2", &kPlainQwen2Rule},
    {"falcon", &kFalconRule},
    {"falcon-h1", &kLlama3Rule},
    {"falcon3", &kLlama3Rule},
    {"gigachat", &kGpt2Rule},
    {"glm4", &kGlm4Rule},
    {"gpt-2", &kGpt2Rule},
    {"gpt-4o", &kGpt4oRule},
    {"gpt3-finnish", &kBloomRule},
    {"granite-docling", &kGpt2Rule},
    {"grok-2", &kPlainQwen2Rule},
    {"hunyuan", &kPlainQwen2Rule},
    {"jais", &kGpt2Rule},
    {"kanana2", &kGpt4oRule},
    {"kormo", &kPlainQwen2Rule},
    {"lfm2", &kLlama3Rule},
    {"llama-bpe", &kLlama3Rule},
    {"llama-v3", &kLlama3Rule},
    {"llama3", &kLlama3Rule},
    {"llama4", &kGpt4oRule},
    {"megrez", &kPlainQwen2Rule},
    {"mellum", &kGpt2Rule},
    {"mellum2", &kDigitsRule},
    {"midm-2.0", &kLlama3Rule},
    {"minerva-7b", &kDigitsRule},
    {"mpt", &kGpt2Rule},
    {"olmo", &kGpt2NfcRule},
    {"phi-2", &kGpt2Rule},
    {"pixtral", &kLlama3Rule},
    {"poro-chat", &kBloomRule},
    {"qwen2", &kQwen2Rule},
    {"refact", &kDigitsRule},
    {"seed-coder", &kSeedCoderRule},
    {"smaug-bpe", &kPlainLlama3Rule},
    {"smollm", &kDigitsRule},
    {"solar-open", &kPlainQwen2Rule},
    {"stablelm2", &kPlainQwen2Rule},
    {"starcoder", &kDigitsRule},
    {"tekken", &kTekkenRule},
    {"trillion", &kGpt2Rule},
};

}  // namespace

const WordRule& Gpt2WordRule() { return kGpt2Rule; }

const WordRule* FindWordRule(std::string_view name) {
  for (const NamedRule& named : kRules) {
    if (named.name == name) return named.rule;
  }
  return nullptr;
}

std::string KnownWordRules() {
  std::string names;
  for (const NamedRule& named : kRules) {
    names += (names.empty() ? "" : ", ") + std::string(named.name);
  }
  return names;
}

namespace {

Json ByteLevelNode(PrefixSpace prefix, bool cuts_words) {
  return Json::MakeObject({{"type", "ByteLevel"},
                           {"add_prefix_space", prefix == PrefixSpace::kAdd},
                           {"trim_offsets", true},
                           {"use_regex", cuts_words}});
}

Json CutNode(const WordCut& cut, PrefixSpace prefix) {
  switch (cut.kind) {
    case WordCut::Kind::kDigits:
      return Json::MakeObject({{"type", "Digits"}, {"individual_digits", true}});
    case WordCut::Kind::kDigitRuns:
      return Json::MakeObject({{"type", "Digits"}, {"individual_digits", false}});
    case WordCut::Kind::kPunctuation:
      return Json::MakeObject({{"type", "Punctuation"}, {"behavior", "Contiguous"}});
    case WordCut::Kind::kGpt2:
      return ByteLevelNode(prefix, true);
    case WordCut::Kind::kPattern:
      break;
  }
  return Json::MakeObject({{"type", "Split"},
                           {"pattern", Json::MakeObject({{"Regex", cut.pattern}})},
                           {"behavior", "Isolated"},
                           {"invert", false}});
}

}  // namespace

Json WordRuleNode(const WordRule& rule, PrefixSpace prefix) {
  Json steps = Json::MakeArray();
  bool to_bytes = false;
  for (const WordCut& cut : rule.cuts) {
    steps.Append(CutNode(cut, prefix));
    to_bytes = to_bytes || cut.kind == WordCut::Kind::kGpt2;
  }
  if (!to_bytes) steps.Append(ByteLevelNode(prefix, false));
  return Json::MakeObject({{"type", "Sequence"}, {"pretokenizers", std::move(steps)}});
}

}  // namespace dray::tokenizer
