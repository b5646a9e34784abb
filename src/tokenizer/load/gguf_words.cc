#include "tokenizer/load/gguf_words.h"

#include <array>
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

constexpr WordRule kGpt2Rule = {};
constexpr WordRule kGpt2NfcRule = {.pattern = {}, .nfc = true};
constexpr WordRule kDigitsRule = {.pattern = {}, .single_digits = true};
constexpr WordRule kLlama3Rule = {.pattern = kLlama3, .ignore_merges = true, .add_bos = true};
constexpr WordRule kPlainLlama3Rule = {.pattern = kLlama3};
constexpr WordRule kGlm4Rule = {.pattern = kLlama3, .ignore_merges = true};
constexpr WordRule kQwen2Rule = {.pattern = kQwen2, .nfc = true};
constexpr WordRule kPlainQwen2Rule = {.pattern = kQwen2};
constexpr WordRule kTekkenRule = {.pattern = kTekken, .ignore_merges = true, .add_bos = true};
constexpr WordRule kGpt4oRule = {.pattern = kGpt4o};
constexpr WordRule kBloomRule = {.pattern = kBloom};

struct NamedRule {
  std::string_view name;
  const WordRule* rule;
};

constexpr std::array kRules = {
    NamedRule{"bloom", &kBloomRule},        NamedRule{"chatglm-bpe", &kPlainLlama3Rule},
    NamedRule{"codeshell", &kDigitsRule},   NamedRule{"command-r", &kDigitsRule},
    NamedRule{"dbrx", &kPlainLlama3Rule},   NamedRule{"deepseek-r1-qwen", &kPlainQwen2Rule},
    NamedRule{"default", &kGpt2Rule},       NamedRule{"exaone", &kDigitsRule},
    NamedRule{"exaone4", &kGpt2Rule},       NamedRule{"falcon3", &kLlama3Rule},
    NamedRule{"gigachat", &kGpt2Rule},      NamedRule{"glm4", &kGlm4Rule},
    NamedRule{"gpt-2", &kGpt2Rule},         NamedRule{"gpt-4o", &kGpt4oRule},
    NamedRule{"gpt3-finnish", &kBloomRule}, NamedRule{"jais", &kGpt2Rule},
    NamedRule{"llama-bpe", &kLlama3Rule},   NamedRule{"llama-v3", &kLlama3Rule},
    NamedRule{"llama3", &kLlama3Rule},      NamedRule{"llama4", &kGpt4oRule},
    NamedRule{"megrez", &kPlainQwen2Rule},  NamedRule{"minerva-7b", &kDigitsRule},
    NamedRule{"mpt", &kGpt2Rule},           NamedRule{"olmo", &kGpt2NfcRule},
    NamedRule{"phi-2", &kGpt2Rule},         NamedRule{"pixtral", &kLlama3Rule},
    NamedRule{"poro-chat", &kBloomRule},    NamedRule{"qwen2", &kQwen2Rule},
    NamedRule{"refact", &kDigitsRule},      NamedRule{"smaug-bpe", &kPlainLlama3Rule},
    NamedRule{"smollm", &kDigitsRule},      NamedRule{"stablelm2", &kPlainQwen2Rule},
    NamedRule{"starcoder", &kDigitsRule},   NamedRule{"tekken", &kTekkenRule},
    NamedRule{"trillion", &kGpt2Rule},
};

}  // namespace

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

Json WordRuleNode(const WordRule& rule) {
  Json steps = Json::MakeArray();
  if (rule.single_digits) {
    steps.Append(Json::MakeObject({{"type", "Digits"}, {"individual_digits", true}}));
  }
  if (!rule.pattern.empty()) {
    steps.Append(Json::MakeObject({{"type", "Split"},
                                   {"pattern", Json::MakeObject({{"Regex", rule.pattern}})},
                                   {"behavior", "Isolated"},
                                   {"invert", false}}));
  }
  steps.Append(Json::MakeObject({{"type", "ByteLevel"},
                                 {"add_prefix_space", false},
                                 {"trim_offsets", true},
                                 {"use_regex", rule.pattern.empty()}}));
  return Json::MakeObject({{"type", "Sequence"}, {"pretokenizers", std::move(steps)}});
}

}  // namespace dray::tokenizer
