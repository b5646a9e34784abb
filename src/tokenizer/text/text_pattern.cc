#include "tokenizer/text/text_pattern.h"

namespace dray::tokenizer {

Result<TextPattern> TextPattern::Load(const JsonNode& node) {
  TextPattern pattern;
  DRAY_ASSIGN_OR_RETURN(auto literal, node.FindString("String"));
  if (literal && !literal->empty()) {
    pattern.literal_ = std::move(literal);
    return pattern;
  }
  std::string
      text;  // an empty fixed text is the empty expression: it matches between all characters
  if (!literal) {
    DRAY_ASSIGN_OR_RETURN(auto expression, node.FindString("Regex"));
    if (!expression) {
      return node.Error(StatusCode::kUnsupported, "must hold \"String\" or \"Regex\"");
    }
    text = *std::move(expression);
  }
  pattern.scanner_ = FindScanner(text);
  auto regex = Regex::Compile(text);
  if (!regex.ok()) return node.Error(regex.status().code(), regex.status().message());
  pattern.regex_ = std::move(regex).value();
  return pattern;
}

Status TextPattern::FindAll(std::string_view text, WorkBudget& budget,
                            std::vector<Match>& out) const {
  if (literal_) {
    FindAllLiteral(text, *literal_, out);
    return OkStatus();
  }
  if (!scanner_) return regex_->FindAll(text, budget, out);
  std::vector<size_t> ends;
  ends.reserve(text.size() / 4);
  ScanSplits(*scanner_, text, ends);
  size_t begin = 0;
  for (const size_t end : ends) {
    out.push_back({begin, end, true});
    begin = end;
  }
  if (ends.empty()) out.push_back({0, 0, false});
  return OkStatus();
}

}  // namespace dray::tokenizer
