// The `pattern` of a Replace or Split node: {"String": "..."} or {"Regex": "..."}. One class for
// both, and the place where a well-known regular expression gives way to its hand-written scanner.
#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/status.h"
#include "tokenizer/json_node.h"
#include "tokenizer/text/regex.h"
#include "tokenizer/text/split_scanner.h"

namespace dray::tokenizer {

class TextPattern {
 public:
  // `node` is the pattern's value. The file's text is checked and compiled here.
  static Result<TextPattern> Load(const JsonNode& node);

  // Cuts `text` into matches and what lies between them; see Regex::FindAll.
  Status FindAll(std::string_view text, WorkBudget& budget, std::vector<Match>& out) const;

  // The fixed text that it looks for, or nothing if it is a regular expression.
  const std::optional<std::string>& literal() const { return literal_; }

 private:
  TextPattern() = default;

  std::optional<std::string> literal_;  // not empty
  std::optional<SplitPattern> scanner_;
  std::optional<Regex> regex_;
};

}  // namespace dray::tokenizer
