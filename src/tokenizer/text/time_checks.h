// Makes a regular expression look at the clock while it matches. Oniguruma bounds back-tracking
// steps alone, and a pattern can do much without any: "(?=(a+))\1+b" reads the text once for each
// of its characters. The library calls back from "(?{...})", and such calls are put where a match
// can begin work that grows with the text.
#pragma once

#include <string>
#include <string_view>

#include "base/status.h"

namespace dray::tokenizer {

// `pattern`, in Oniguruma's syntax, with a call before each group, each back reference and each
// repeated character or class: between two calls a match reads the text once at most. It matches
// what `pattern` matches. kUnsupported for patterns that have calls already or extended mode (?x),
// which tokenizers do not use and in which comments would have to be told from groups.
Result<std::string> WithTimeChecks(std::string_view pattern);

}  // namespace dray::tokenizer
