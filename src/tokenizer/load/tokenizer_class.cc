#include "tokenizer/load/tokenizer_class.h"

#include <algorithm>
#include <iterator>
#include <string>
#include <string_view>

#include "tokenizer/json_node.h"
#include "tokenizer/load/subword_model_load.h"

namespace dray::tokenizer {
namespace {

constexpr std::string_view kGpt2Class = "GPT2Tokenizer";
constexpr std::string_view kNeoxClass = "GPTNeoXTokenizer";
constexpr std::string_view kLlamaClass = "LlamaTokenizer";
constexpr std::string_view kQwen2Class = "Qwen2Tokenizer";
constexpr std::string_view kBertClass = "BertTokenizer";
constexpr std::string_view kMpnetClass = "MPNetTokenizer";
constexpr std::string_view kRobertaClass = "RobertaTokenizer";
constexpr std::string_view kT5Class = "T5Tokenizer";

// The class that transformers registers for a model type; empty: none, so that the files decide.
std::string_view RegisteredClass(std::string_view model_type) {
  static constexpr std::string_view kGpt2Types[] = {"gpt2", "gptj",    "gpt_neo",   "opt",
                                                    "phi",  "codegen", "starcoder2"};
  static constexpr std::string_view kNeoxTypes[] = {"gpt_neox", "mpt", "olmo"};
  static constexpr std::string_view kBertTypes[] = {"bert",       "convbert",   "distilbert",
                                                    "electra",    "ernie",      "megatron-bert",
                                                    "mobilebert", "nomic_bert", "squeezebert"};
  static constexpr std::string_view kRobertaTypes[] = {"bart", "data2vec-text", "longformer",
                                                       "roberta", "roberta-prelayernorm"};
  static constexpr std::string_view kT5Types[] = {"mt5", "switch_transformers", "t5"};
  static constexpr std::string_view kNone[] = {"", "llama", "bloom", "falcon", "longt5"};
  const auto is_in = [&](const auto& types) {
    return std::find(std::begin(types), std::end(types), model_type) != std::end(types);
  };
  if (is_in(kGpt2Types)) return kGpt2Class;
  if (is_in(kNeoxTypes)) return kNeoxClass;
  if (is_in(kBertTypes)) return kBertClass;
  if (is_in(kRobertaTypes)) return kRobertaClass;
  if (is_in(kT5Types)) return kT5Class;
  if (model_type == "mpnet") return kMpnetClass;
  return is_in(kNone) ? "" : "TokenizersBackend";
}

// The class that changes a tokenizer.json, or nothing if the file is used as it is.
std::string_view FindClass(const TokenizerConfig& config) {
  const std::string_view registered = RegisteredClass(config.model_type);
  if (registered == "TokenizersBackend") return "";
  return config.tokenizer_class.empty() ? registered : config.tokenizer_class;
}

// The class that reads the files of a vocabulary.
std::string_view FindVocabClass(const TokenizerConfig& config) {
  if (!config.tokenizer_class.empty()) return config.tokenizer_class;
  return RegisteredClass(config.model_type);
}

constexpr VocabFilesRule kVocabFilesRules[] = {
    {.name = kGpt2Class, .words = "gpt-2", .default_bos = true, .pad_token = {}},
    {.name = "CodeGenTokenizer", .words = "gpt-2", .default_bos = true, .pad_token = {}},
    {.name = kNeoxClass,
     .words = "gpt-2",
     .nfc = true,
     .default_bos = true,
     .pad_token = "<|padding|>"},
    {.name = kQwen2Class, .words = "qwen2", .nfc = true, .pad_token = kEndOfText},
};

// Model types whose class is the same whatever the files say.
bool IsQwen2(std::string_view model_type) {
  static constexpr std::string_view kTypes[] = {"qwen2", "qwen2_moe", "qwen3", "qwen3_moe"};
  return std::find(std::begin(kTypes), std::end(kTypes), model_type) != std::end(kTypes);
}

std::string_view TypeOf(const Json* node) {
  const Json* type = node != nullptr ? node->Find("type") : nullptr;
  const std::string* name = type != nullptr ? type->AsString() : nullptr;
  return name != nullptr ? std::string_view{*name} : std::string_view();
}

bool IsMissing(const Json* node) { return node == nullptr || node->is_null(); }

// Whether a step of a normalizer does nothing but what Llama's class does in its own way.
bool IsBlankStep(const Json& step) {
  const std::string_view type = TypeOf(&step);
  if (type == "Prepend") {
    const Json* prefix = step.Find("prepend");
    return prefix != nullptr && *prefix == Json("▁");
  }
  const Json* pattern = step.Find("pattern");
  const Json* blank = pattern != nullptr ? pattern->Find("String") : nullptr;
  const Json* content = step.Find("content");
  return type == "Replace" && blank != nullptr && *blank == Json(" ") && content != nullptr &&
         *content == Json("▁");
}

bool IsLlamaNormalizer(const Json* normalizer) {
  if (IsMissing(normalizer)) return true;
  if (TypeOf(normalizer) != "Sequence") return IsBlankStep(*normalizer);
  const Json* steps = normalizer->Find("normalizers");
  const Json::Array* array = steps != nullptr ? steps->AsArray() : nullptr;
  return array != nullptr && std::all_of(array->begin(), array->end(), IsBlankStep);
}

void ApplyLlama(const TokenizerConfig& config, Json& json) {
  const Json* pre_tokenizer = json.Find("pre_tokenizer");
  const bool plain = IsMissing(pre_tokenizer) || TypeOf(pre_tokenizer) == "Metaspace";
  if (!plain || !IsLlamaNormalizer(json.Find("normalizer"))) return;
  const bool prefix = config.add_prefix_space.value_or(true);
  const char* scheme = !prefix ? "never" : config.legacy ? "always" : "first";
  json.Set("normalizer", nullptr);
  json.Set("pre_tokenizer", Json::MakeObject({{"type", "Metaspace"},
                                              {"replacement", "▁"},
                                              {"prepend_scheme", scheme},
                                              {"split", false}}));
  json.Set("decoder", LlamaDecoder(prefix ? FirstBlank::kStrip : FirstBlank::kKeep));
}

void ApplyGpt2(const TokenizerConfig& config, Json& json) {
  const Json* pre_tokenizer = json.Find("pre_tokenizer");
  if (TypeOf(pre_tokenizer) != "ByteLevel") return;
  Json changed = *pre_tokenizer;
  changed.Set("add_prefix_space", config.add_prefix_space.value_or(false));
  json.Set("pre_tokenizer", std::move(changed));
}

// Whether the file holds a model of the kind that the class has.
bool IsMadeFor(const EncoderClass& encoder, const Json& json) {
  const Json* model = json.Find("model");
  if (model == nullptr || SubwordModelType(*model) != encoder.model) return false;
  return encoder.format != VocabFormat::kVocabAndMerges ||
         TypeOf(json.Find("pre_tokenizer")) == "ByteLevel";
}

}  // namespace

const VocabFilesRule* FindVocabFilesRule(const TokenizerConfig& config) {
  std::string_view name = IsQwen2(config.model_type) ? kQwen2Class : FindVocabClass(config);
  // Files that say nothing at all are GPT-2's, which had no others.
  if (name.empty() && config.model_type.empty()) name = kGpt2Class;
  for (const VocabFilesRule& rule : kVocabFilesRules) {
    if (rule.name == name) return &rule;
  }
  return nullptr;
}

const EncoderClass* FindVocabEncoderClass(const TokenizerConfig& config) {
  return FindEncoderClass(FindVocabClass(config));
}

Status UnknownClass(const TokenizerConfig& config) {
  std::string known;
  for (const VocabFilesRule& rule : kVocabFilesRules) known += std::string(rule.name) + ", ";
  const std::string what = config.tokenizer_class.empty()
                               ? "config.json: model_type " + QuoteText(config.model_type)
                               : "tokenizer_class " + QuoteText(config.tokenizer_class);
  return {StatusCode::kUnsupported,
          what + " does not say how the vocabulary's files are used: dray knows " + known +
              KnownEncoderClasses() +
              "; save the tokenizer once with transformers' save_pretrained to get a "
              "tokenizer.json"};
}

Json LlamaDecoder(FirstBlank first) {
  Json steps = Json::MakeArray();
  steps.Append(Json::MakeObject(
      {{"type", "Replace"}, {"pattern", Json::MakeObject({{"String", "▁"}})}, {"content", " "}}));
  steps.Append(Json::MakeObject({{"type", "ByteFallback"}}));
  steps.Append(Json::MakeObject({{"type", "Fuse"}}));
  if (first == FirstBlank::kStrip) {
    steps.Append(
        Json::MakeObject({{"type", "Strip"}, {"content", " "}, {"start", 1}, {"stop", 0}}));
  }
  return Json::MakeObject({{"type", "Sequence"}, {"decoders", std::move(steps)}});
}

const EncoderClass* ApplyTokenizerClass(const TokenizerConfig& config, Json& tokenizer_json) {
  if (!tokenizer_json.is_object()) return nullptr;
  const std::string_view name = FindClass(config);
  if (name == kGpt2Class || name == kNeoxClass) ApplyGpt2(config, tokenizer_json);
  if (name == kLlamaClass) ApplyLlama(config, tokenizer_json);
  const EncoderClass* encoder = FindEncoderClass(name);
  if (encoder == nullptr || !IsMadeFor(*encoder, tokenizer_json)) return nullptr;
  SetClassSteps(*encoder, config, tokenizer_json);
  return encoder;
}

}  // namespace dray::tokenizer
