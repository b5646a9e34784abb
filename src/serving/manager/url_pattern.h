// Which URLs a client may have loaded by asking for a model that the server does not have.
#pragma once

#include <string>
#include <utility>

#include "base/status.h"
#include "tokenizer/text/regex.h"

namespace dray::serving {

class UrlPattern {
 public:
  // kInvalidArgument with the reason if `pattern` is no regular expression.
  static Result<UrlPattern> Compile(const std::string& pattern);

  // Whether the pattern matches the whole URL. URLs over 4096 bytes, those that take too long, and those with
  // a part ".." do not match: "/models/.*" means what is below that folder.
  bool Matches(const std::string& url) const;

 private:
  explicit UrlPattern(tokenizer::Regex regex) : regex_(std::move(regex)) {}
  tokenizer::Regex regex_;
};

}  // namespace dray::serving
