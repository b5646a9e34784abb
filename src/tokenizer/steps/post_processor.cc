#include "tokenizer/steps/post_processor.h"

#include <fmt/format.h>

#include <algorithm>

#include "tokenizer/models/vocab.h"

namespace dray::tokenizer {
namespace {

constexpr size_t kMaxTemplates = 16;
constexpr size_t kMaxParts = 256;
constexpr size_t kMaxIdsInPart = 256;
// How often texts may appear in the result.
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

Result<int32_t> LoadTypeId(const JsonNode& node) {
  DRAY_ASSIGN_OR_RETURN(const auto type, node.Find("type_id"));
  if (!type) return int32_t{0};
  DRAY_ASSIGN_OR_RETURN(const int64_t id, type->AsCount(INT32_MAX));
  return static_cast<int32_t>(id);
}

}  // namespace

PostProcessor PostProcessor::Around(std::vector<int32_t> before, std::vector<int32_t> after) {
  Template around;
  around.single = {{.ids = before}, {.text = 0}, {.ids = after}};
  around.pair = around.single;
  around.pair.push_back({.type_id = 1, .ids = std::move(before)});
  around.pair.push_back({.text = 1, .type_id = 1});
  around.pair.push_back({.type_id = 1, .ids = std::move(after)});
  return Of(std::move(around));
}

PostProcessor PostProcessor::Bert(int32_t cls, int32_t sep) { return Of(BertTemplate(cls, sep)); }

PostProcessor PostProcessor::Roberta(int32_t cls, int32_t sep) {
  return Of(RobertaTemplate(cls, sep));
}

PostProcessor PostProcessor::T5(int32_t eos) {
  Template parts;
  parts.single = {{.text = 0}, {.ids = {eos}}};
  parts.pair = {{.text = 0}, {.ids = {eos}}, {.text = 1}, {.ids = {eos}}};
  return Of(std::move(parts));
}

PostProcessor PostProcessor::Of(Template parts) {
  PostProcessor processor;
  processor.templates_.push_back(std::move(parts));
  return processor;
}

Result<PostProcessor> PostProcessor::Load(const JsonNode& node) {
  PostProcessor processor;
  DRAY_RETURN_IF_ERROR(LoadStep(node, processor.templates_));
  size_t copies = 1;
  for (const Template& parts : processor.templates_) {
    const auto count = [](const Parts& list) {
      return static_cast<size_t>(std::count_if(
          list.begin(), list.end(), [](const Part& part) { return part.text.has_value(); }));
    };
    copies *= count(parts.single);
    if (std::max(copies, count(parts.pair)) > kMaxCopies) {
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
    DRAY_ASSIGN_OR_RETURN(Template parts, LoadClsSep(node, name));
    templates.push_back(std::move(parts));
    return OkStatus();
  }
  return type.Unknown(name,
                      "BertProcessing, ByteLevel, RobertaProcessing, Sequence, TemplateProcessing");
}

Result<PostProcessor::Template> PostProcessor::LoadClsSep(const JsonNode& node,
                                                          const std::string& name) {
  DRAY_ASSIGN_OR_RETURN(const int32_t cls, LoadNamedId(node, "cls"));
  DRAY_ASSIGN_OR_RETURN(const int32_t sep, LoadNamedId(node, "sep"));
  return name == "BertProcessing" ? BertTemplate(cls, sep) : RobertaTemplate(cls, sep);
}

PostProcessor::Template PostProcessor::BertTemplate(int32_t cls, int32_t sep) {
  Template parts;
  parts.single = {{.ids = {cls}}, {.text = 0}, {.ids = {sep}}};
  parts.pair = parts.single;
  parts.pair.push_back({.text = 1, .type_id = 1});
  parts.pair.push_back({.type_id = 1, .ids = {sep}});
  return parts;
}

PostProcessor::Template PostProcessor::RobertaTemplate(int32_t cls, int32_t sep) {
  Template parts;
  parts.single = {{.ids = {cls}}, {.text = 0}, {.ids = {sep}}};
  parts.pair = {{.ids = {cls}}, {.text = 0}, {.ids = {sep, sep}}, {.text = 1}, {.ids = {sep}}};
  return parts;
}

Result<PostProcessor::Template> PostProcessor::LoadTemplate(const JsonNode& node) {
  Template parts;
  DRAY_ASSIGN_OR_RETURN(const JsonNode single, node.Get("single"));
  DRAY_ASSIGN_OR_RETURN(parts.single, LoadParts(node, single, 1));
  DRAY_ASSIGN_OR_RETURN(const auto pair, node.Find("pair"));
  if (pair) {
    DRAY_ASSIGN_OR_RETURN(parts.pair, LoadParts(node, *pair, 2));
  } else {
    parts.pair = {{.text = 0}, {.text = 1, .type_id = 1}};
  }
  return parts;
}

Result<PostProcessor::Parts> PostProcessor::LoadParts(const JsonNode& node, const JsonNode& list,
                                                      size_t num_texts) {
  DRAY_ASSIGN_OR_RETURN(const auto pieces, list.Elements());
  if (pieces.size() > kMaxParts) {
    return list.Error(StatusCode::kResourceExhausted,
                      fmt::format("{} parts, above the limit of {}", pieces.size(), kMaxParts));
  }
  Parts parts;
  for (const JsonNode& piece : pieces) {
    DRAY_ASSIGN_OR_RETURN(Part part, LoadPart(node, piece, num_texts));
    parts.push_back(std::move(part));
  }
  return parts;
}

// {"Sequence": {"id": "A", "type_id": 0}}, or {"SpecialToken": {"id": "[CLS]", "type_id": 0}} with the
// token's ids in the template's table.
Result<PostProcessor::Part> PostProcessor::LoadPart(const JsonNode& node, const JsonNode& piece,
                                                    size_t num_texts) {
  Part part;
  DRAY_ASSIGN_OR_RETURN(const auto sequence, piece.Find("Sequence"));
  if (sequence) {
    DRAY_ASSIGN_OR_RETURN(const std::string id, sequence->GetString("id"));
    if (id == "B" && num_texts == 1) {
      return sequence->Unknown(id, "A (a single text has no other)");
    }
    if (id != "A" && id != "B") return sequence->Unknown(id, "A, B");
    DRAY_ASSIGN_OR_RETURN(part.type_id, LoadTypeId(*sequence));
    part.text = id == "A" ? 0 : 1;
    return part;
  }
  DRAY_ASSIGN_OR_RETURN(const JsonNode special, piece.Get("SpecialToken"));
  DRAY_ASSIGN_OR_RETURN(part.type_id, LoadTypeId(special));
  DRAY_ASSIGN_OR_RETURN(const std::string name, special.GetString("id"));
  DRAY_ASSIGN_OR_RETURN(const JsonNode table, node.Get("special_tokens"));
  DRAY_ASSIGN_OR_RETURN(const JsonNode token, table.Get(name));
  DRAY_ASSIGN_OR_RETURN(const JsonNode ids_node, token.Get("ids"));
  DRAY_ASSIGN_OR_RETURN(const auto ids, ids_node.Elements());
  if (ids.size() > kMaxIdsInPart) {
    return ids_node.Error(StatusCode::kResourceExhausted,
                          fmt::format("more than {} ids", kMaxIdsInPart));
  }
  for (const JsonNode& id_node : ids) {
    DRAY_ASSIGN_OR_RETURN(const int64_t id, id_node.AsCount(kMaxTokenId));
    part.ids.push_back(static_cast<int32_t>(id));
  }
  return part;
}

size_t PostProcessor::NumAdded(size_t num_texts) const {
  size_t count = 0;
  for (const Template& parts : templates_) {
    for (const Part& part : parts.For(num_texts)) count += part.ids.size();
  }
  return count;
}

Result<Encoding> PostProcessor::Apply(std::vector<std::vector<int32_t>> texts,
                                      AddSpecialTokens add) const {
  if (texts.size() == 2 && templates_.size() > 1) {
    return Status(
        StatusCode::kUnsupported,
        fmt::format("post_processor: has {} templates, which is not defined for a pair of "
                    "texts; encode the two texts as one",
                    templates_.size()));
  }
  static const Template kPlain = {.single = {{.text = 0}},
                                  .pair = {{.text = 0}, {.text = 1, .type_id = 1}}};
  Encoding out;
  const auto apply = [&](const Template& parts) {
    out = {};
    size_t size = 8;
    for (const auto& ids : texts) size += ids.size();
    out.ids.reserve(size);
    for (const Part& part : parts.For(texts.size())) {
      if (!part.text && add == AddSpecialTokens::kNo) continue;
      const std::vector<int32_t>& ids = part.text ? texts[*part.text] : part.ids;
      out.ids.insert(out.ids.end(), ids.begin(), ids.end());
      out.type_ids.resize(out.ids.size(), part.type_id);
    }
  };
  if (templates_.empty()) apply(kPlain);
  for (size_t i = 0; i < templates_.size(); ++i) {
    if (i > 0) texts = {std::move(out.ids)};
    apply(templates_[i]);
  }
  return out;
}

int32_t PostProcessor::max_id() const {
  int32_t max = -1;
  for (const Template& parts : templates_) {
    for (const Parts* list : {&parts.single, &parts.pair}) {
      for (const Part& part : *list) {
        for (const int32_t id : part.ids) max = std::max(max, id);
      }
    }
  }
  return max;
}

}  // namespace dray::tokenizer
