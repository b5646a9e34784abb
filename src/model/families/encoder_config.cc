#include "model/families/encoder_config.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <charconv>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "model/families/family_config.h"

namespace dray::model {
namespace {

constexpr std::string_view kClassifierHead = "ForSequenceClassification";

// Heads that dray does not compute. A masked language model's head is not one of them: its encoder
// is what makes vectors, and the head is left out.
constexpr std::array<std::string_view, 5> kUnknownHeads = {
    "ForTokenClassification", "ForQuestionAnswering", "ForMultipleChoice",
    "ForNextSentencePrediction", "LMHeadModel"};

// More classes than any published classifier has, so that a wrong file cannot ask for all memory.
constexpr int64_t kMaxLabels = 100'000;

// Whether the model sorts texts into classes.
Result<bool> ReadHead(ConfigReader& reader) {
  DRAY_ASSIGN_OR_RETURN(const auto names, reader.Names("architectures"));
  bool is_classifier = false;
  for (const std::string& name : names) {
    is_classifier = is_classifier || name.ends_with(kClassifierHead);
    if (std::none_of(kUnknownHeads.begin(), kUnknownHeads.end(),
                     [&](std::string_view head) { return name.ends_with(head); })) {
      continue;
    }
    return reader.RefuseUnsupported(
        "architectures",
        "of encoders dray computes vectors and the classes of whole texts; use a checkpoint whose "
        "architecture ends in Model, ForMaskedLM or ForSequenceClassification");
  }
  return is_classifier;
}

std::optional<size_t> ParseIndex(std::string_view text) {
  size_t index = 0;
  const char* end = text.data() + text.size();
  const auto [stop, error] = std::from_chars(text.data(), end, index);
  if (text.empty() || error != std::errc() || stop != end) return std::nullopt;
  return index;
}

// The names of id2label, {"0": "negative", "1": "positive"}.
Result<std::vector<std::string>> ReadNames(const ConfigReader& reader, const Json& value) {
  const Json::Object* object = value.AsObject();
  const auto refuse = [&](std::string_view reason) { return reader.Refuse("id2label", reason); };
  if (object == nullptr || object->empty() || object->size() > static_cast<size_t>(kMaxLabels)) {
    return refuse(fmt::format("it must be an object of 1 to {} names", kMaxLabels));
  }
  std::vector<std::string> names(object->size());
  std::vector<bool> seen(object->size());
  for (const auto& [key, name] : *object) {
    const std::optional<size_t> index = ParseIndex(key);
    if (!index || *index >= names.size() || seen[*index]) {
      return refuse("its keys must be the numbers of the classes, from \"0\" on");
    }
    const std::string* text = name.AsString();
    if (text == nullptr) return refuse("the names of classes must be strings");
    names[*index] = *text;
    seen[*index] = true;
  }
  return names;
}

// As transformers does, the names decide how many classes there are; without names there are
// num_labels of them, or two.
Result<std::vector<std::string>> ReadLabels(ConfigReader& reader) {
  DRAY_ASSIGN_OR_RETURN(const int64_t count, reader.Int("num_labels", 1, kMaxLabels, 2));
  if (const Json* value = reader.Find("id2label")) return ReadNames(reader, *value);
  std::vector<std::string> names;
  for (int64_t i = 0; i < count; ++i) names.push_back(fmt::format("LABEL_{}", i));
  return names;
}

Result<ClassScores> ReadScores(ConfigReader& reader, int64_t num_labels) {
  DRAY_ASSIGN_OR_RETURN(const std::string type, reader.String("problem_type", ""));
  if (type == "regression") return ClassScores::kNone;
  if (type == "multi_label_classification") return ClassScores::kSigmoid;
  if (type.empty() || type == "single_label_classification") {
    return num_labels == 1 ? ClassScores::kSigmoid : ClassScores::kSoftmax;
  }
  return reader.Refuse("problem_type",
                       "it must be regression, single_label_classification or "
                       "multi_label_classification");
}

}  // namespace

void SetBertLine(ModelConfig& config) {
  StackConfig& stack = config.stack;
  config.kind = ModelKind::kEncoder;
  config.tied_head = true;
  stack.norm_placement = NormPlacement::kPost;
  stack.embedding_norm = true;
  stack.final_norm = false;
  stack.position = PositionKind::kLearned;
  stack.mask = AttentionMask::kFull;
  stack.qkv_bias = true;
  stack.attention_out_bias = true;
  stack.ffn_bias = true;
  SetPlainAttention(stack);
}

Status ReadClassifier(ConfigReader& reader, Activation activation, ModelConfig& config) {
  DRAY_ASSIGN_OR_RETURN(const bool is_classifier, ReadHead(reader));
  if (!is_classifier) return OkStatus();
  ClassifierConfig classifier;
  classifier.activation = activation;
  DRAY_ASSIGN_OR_RETURN(classifier.labels, ReadLabels(reader));
  DRAY_ASSIGN_OR_RETURN(classifier.scores, ReadScores(reader, classifier.num_labels()));
  config.classifier = std::move(classifier);
  return OkStatus();
}

bool HasClassifier(const ModelConfig& config) { return config.classifier.has_value(); }

}  // namespace dray::model
