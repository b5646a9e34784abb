#include "tokenizer/steps/post_processor.h"

#include <fmt/format.h>

#include <algorithm>

#include "tokenizer/models/vocab.h"

namespace dray::tokenizer {
namespace {

constexpr size_t kMaxTemplates = 16;
constexpr size_t kMaxParts = 256;
constexpr size_t kMaxIdsInPart = 256;
// How often the text may appear in the result.
constexpr size_t kMaxCopies = 8;

// The element [name, id] of a `cls` or `sep` field.
Result<int32_t> LoadNamedId(const JsonNode& node, std::string_view key) {
  DRAY_ASSIGN_OR_RETURN(const JsonNode pair, node.Get(key));
  DRAY_ASSIGN_OR_RETURN(const auto elements, pair.Elements());
  if (elements.size() != 2) {
    return pair.Error(StatusCode::kInvalidArgument, "must be a pair of a token and its id");
  }
  DRAY_ASSIGN_OR_RETURN(const int64_t id, elements[1].AsCount(kMaxTokenId));
  return static_cast<int32_t>(id);
}

}  // namespace

PostProcessor PostProcessor::Around(std::vector<int32_t> before, std::vector<int32_t> after) {
  PostProcessor processor;
  processor.templates_.push_back(
      {Part{false, std::move(before)}, Part{true, {}}, Part{false, std::move(after)}});
  return processor;
}

Result<PostProcessor> PostProcessor::Load(const JsonNode& node) {
  PostProcessor processor;
  DRAY_RETURN_IF_ERROR(LoadStep(node, processor.templates_));
  size_t copies = 1;
  for (const Template& parts : processor.templates_) {
    copies *= static_cast<size_t>(
        std::count_if(parts.begin(), parts.end(), [](const Part& part) { return part.is_text; }));
    if (copies > kMaxCopies) {
      return node.Error(StatusCode::kResourceExhausted,
                        fmt::format("repeats the text more than {} times", kMaxCopies));
    }
  }
  return processor;
}

Status PostProcessor::LoadStep(const JsonNode& node, std::vector<Template>& templates) {
  DRAY_ASSIGN_OR_RETURN(const JsonNode type, node.Get("type"));
  DRAY_ASSIGN_OR_RETURN(const std::string name, type.AsString());
  if (name == "Sequence") {
    DRAY_ASSIGN_OR_RETURN(const JsonNode list, node.Get("processors"));
    DRAY_ASSIGN_OR_RETURN(const auto elements, list.Elements());
    for (const JsonNode& element : elements) DRAY_RETURN_IF_ERROR(LoadStep(element, templates));
    return OkStatus();
  }
  if (name == "ByteLevel") return OkStatus();  // trims offsets, which nobody asks for here
  if (templates.size() == kMaxTemplates) {
    return node.Error(StatusCode::kResourceExhausted,
                      fmt::format("more than {} post-processors", kMaxTemplates));
  }
  if (name == "TemplateProcessing") {
    DRAY_ASSIGN_OR_RETURN(Template parts, LoadTemplate(node));
    templates.push_back(std::move(parts));
    return OkStatus();
  }
  if (name == "BertProcessing" || name == "RobertaProcessing") {
    DRAY_ASSIGN_OR_RETURN(Template parts, LoadClsSep(node));
    templates.push_back(std::move(parts));
    return OkStatus();
  }
  return type.Unknown(name,
                      "BertProcessing, ByteLevel, RobertaProcessing, Sequence, TemplateProcessing");
}

Result<PostProcessor::Template> PostProcessor::LoadClsSep(const JsonNode& node) {
  DRAY_ASSIGN_OR_RETURN(const int32_t cls, LoadNamedId(node, "cls"));
  DRAY_ASSIGN_OR_RETURN(const int32_t sep, LoadNamedId(node, "sep"));
  return Template{{false, {cls}}, {true, {}}, {false, {sep}}};
}

// Only the template for one text: dray encodes no pairs.
Result<PostProcessor::Template> PostProcessor::LoadTemplate(const JsonNode& node) {
  DRAY_ASSIGN_OR_RETURN(const JsonNode single, node.Get("single"));
  DRAY_ASSIGN_OR_RETURN(const auto pieces, single.Elements());
  if (pieces.size() > kMaxParts) {
    return single.Error(StatusCode::kResourceExhausted,
                        fmt::format("{} parts, above the limit of {}", pieces.size(), kMaxParts));
  }
  Template parts;
  for (const JsonNode& piece : pieces) {
    DRAY_ASSIGN_OR_RETURN(const auto sequence, piece.Find("Sequence"));
    if (sequence) {
      DRAY_ASSIGN_OR_RETURN(const std::string id, sequence->GetString("id"));
      if (id != "A") return sequence->Unknown(id, "A (a single text has no other)");
      parts.push_back({true, {}});
      continue;
    }
    DRAY_ASSIGN_OR_RETURN(const JsonNode special, piece.Get("SpecialToken"));
    DRAY_ASSIGN_OR_RETURN(const std::string name, special.GetString("id"));
    DRAY_ASSIGN_OR_RETURN(const JsonNode table, node.Get("special_tokens"));
    DRAY_ASSIGN_OR_RETURN(const JsonNode token, table.Get(name));
    DRAY_ASSIGN_OR_RETURN(const JsonNode ids_node, token.Get("ids"));
    DRAY_ASSIGN_OR_RETURN(const auto ids, ids_node.Elements());
    if (ids.size() > kMaxIdsInPart) {
      return ids_node.Error(StatusCode::kResourceExhausted,
                            fmt::format("more than {} ids", kMaxIdsInPart));
    }
    Part part;
    for (const JsonNode& id_node : ids) {
      DRAY_ASSIGN_OR_RETURN(const int64_t id, id_node.AsCount(kMaxTokenId));
      part.ids.push_back(static_cast<int32_t>(id));
    }
    parts.push_back(std::move(part));
  }
  return parts;
}

std::vector<int32_t> PostProcessor::Apply(std::vector<int32_t> ids, AddSpecialTokens add) const {
  for (const Template& parts : templates_) {
    std::vector<int32_t> out;
    out.reserve(ids.size() + 8);
    for (const Part& part : parts) {
      if (part.is_text) {
        out.insert(out.end(), ids.begin(), ids.end());
      } else if (add == AddSpecialTokens::kYes) {
        out.insert(out.end(), part.ids.begin(), part.ids.end());
      }
    }
    ids = std::move(out);
  }
  return ids;
}

int32_t PostProcessor::max_id() const {
  int32_t max = -1;
  for (const Template& parts : templates_) {
    for (const Part& part : parts) {
      for (const int32_t id : part.ids) max = std::max(max, id);
    }
  }
  return max;
}

}  // namespace dray::tokenizer
