#include "serving/manager/url_pattern.h"

#include <fmt/format.h>

#include <algorithm>
#include <string_view>
#include <vector>

#include "tokenizer/text/work_budget.h"

namespace dray::serving {
namespace {

bool HasParentPart(std::string_view url) {
  while (!url.empty()) {
    const size_t slash = std::min(url.find('/'), url.size());
    if (url.substr(0, slash) == "..") return true;
    url.remove_prefix(std::min(slash + 1, url.size()));
  }
  return false;
}

}  // namespace

Result<UrlPattern> UrlPattern::Compile(const std::string& pattern) {
  // Anchored, for a search would be content with the first alternative that matches a part.
  auto regex = tokenizer::Regex::Compile(fmt::format("\\A(?:{})\\z", pattern));
  if (!regex.ok()) return regex.status().WithPrefix("model_url_pattern");
  return UrlPattern(std::move(regex).value());
}

bool UrlPattern::Matches(const std::string& url) const {
  constexpr size_t kMaxBytes = 4096;
  if (url.empty() || url.size() > kMaxBytes || HasParentPart(url)) return false;
  tokenizer::WorkBudget budget(url.size());
  std::vector<tokenizer::Match> matches;
  const Status status = regex_.FindAll(url, budget, matches);
  return status.ok() && matches.size() == 1 && matches.front().is_match;
}

}  // namespace dray::serving
