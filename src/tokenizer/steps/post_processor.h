// The `post_processor` of tokenizer.json: which ids stand around a text's own (begin and end of sequence),
// how a pair of texts becomes one sequence, and the types of all ids.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "base/status.h"
#include "tokenizer/encoding.h"
#include "tokenizer/json_node.h"

namespace dray::tokenizer {

enum class AddSpecialTokens { kYes, kNo };

class PostProcessor {
 public:
  // Adds nothing: a pair is its texts one after the other, with types 0 and 1.
  PostProcessor() = default;
  static Result<PostProcessor> Load(const JsonNode& node);
  // `before`, the text, `after`; the same around the second text of a pair, which has type 1.
  static PostProcessor Around(std::vector<int32_t> before, std::vector<int32_t> after);
  // [CLS] A [SEP] B [SEP], where the second text and its end have type 1.
  static PostProcessor Bert(int32_t cls, int32_t sep);
  // <s> A </s></s> B </s>; all ids have type 0.
  static PostProcessor Roberta(int32_t cls, int32_t sep);
  // A </s> B </s>; all ids have type 0.
  static PostProcessor T5(int32_t eos);

  // How many special ids Apply adds to `num_texts` texts (1 or 2).
  size_t NumAdded(size_t num_texts) const;
  // `texts` are the ids of one text or of two. kUnsupported for a pair if the file has several
  // templates, one around the result of another.
  Result<Encoding> Apply(std::vector<std::vector<int32_t>> texts, AddSpecialTokens add) const;

  // The largest id that it may add, or -1.
  int32_t max_id() const;

 private:
  // The ids of a text, or else `ids`.
  struct Part {
    std::optional<size_t> text = {};  // 0 or 1
    int32_t type_id = 0;
    std::vector<int32_t> ids = {};
  };
  using Parts = std::vector<Part>;
  struct Template {
    Parts single;
    Parts pair;
    const Parts& For(size_t num_texts) const { return num_texts == 1 ? single : pair; }
  };
  static Status LoadStep(const JsonNode& node, std::vector<Template>& templates);
  static Result<Template> LoadTemplate(const JsonNode& node);
  static Result<Parts> LoadParts(const JsonNode& node, const JsonNode& list, size_t num_texts);
  static Result<Part> LoadPart(const JsonNode& node, const JsonNode& piece, size_t num_texts);
  // BertProcessing and RobertaProcessing.
  static Result<Template> LoadClsSep(const JsonNode& node, const std::string& name);
  static Template BertTemplate(int32_t cls, int32_t sep);
  static Template RobertaTemplate(int32_t cls, int32_t sep);
  static PostProcessor Of(Template parts);

  std::vector<Template> templates_;  // each around the result of the one before
};

}  // namespace dray::tokenizer
