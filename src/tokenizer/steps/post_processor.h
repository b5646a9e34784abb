// The `post_processor` of tokenizer.json: which ids stand around a text's own (begin and
// end of sequence).
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "base/status.h"
#include "tokenizer/json_node.h"

namespace dray::tokenizer {

enum class AddSpecialTokens { kYes, kNo };

class PostProcessor {
 public:
  PostProcessor() = default;  // adds nothing
  static Result<PostProcessor> Load(const JsonNode& node);
  // `before`, the text, `after`.
  static PostProcessor Around(std::vector<int32_t> before, std::vector<int32_t> after);

  std::vector<int32_t> Apply(std::vector<int32_t> ids, AddSpecialTokens add) const;

  // The largest id that it may add, or -1.
  int32_t max_id() const;

 private:
  // The text where `is_text`, else ids.
  struct Part {
    bool is_text = false;
    std::vector<int32_t> ids;
  };
  using Template = std::vector<Part>;
  static Status LoadStep(const JsonNode& node, std::vector<Template>& templates);
  static Result<Template> LoadTemplate(const JsonNode& node);
  static Result<Template> LoadClsSep(const JsonNode& node);

  std::vector<Template> templates_;  // each around the result of the one before
};

}  // namespace dray::tokenizer
