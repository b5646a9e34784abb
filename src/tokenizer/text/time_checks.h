// Makes a regular expression look at the clock while it matches. Oniguruma bounds back-tracking
// steps alone, and a pattern can do much without any: "(?=(a+))\1+b" reads the text once for each
// of its characters. The library calls back from "(?{...})", and such calls are put where a match
// can begin work that grows with the text.
#pragma once

#include <string>
#include <string_view>

#include "base/status.h"

namespace dray::tokenizer {

struct CheckedPattern {
  // Matches what the original matches. It has a call before each group, each back reference and each repeated
  // character or class: between two calls a match reads the text once at most.
  std::string text;
  // Whether the same holds for the original between two back-tracks, so that a bound on their number is
  // enough and no call is needed. The calls cost up to 40 % of a search. It does not hold where a search
  // goes back in the text, or stays in place, without back-tracking: in a pattern with back references,
  // repetitions in look-around, or groups with a repetition count; and it is not claimed of patterns above
  // 1 KiB, or with forms that published tokenizers do not use.
  bool is_bounded_by_back_tracks = false;
};

// Reads `pattern`, in Oniguruma's syntax. kUnsupported for patterns that have calls already or extended mode
// (?x), which tokenizers do not use and in which comments would have to be told from groups.
Result<CheckedPattern> WithTimeChecks(std::string_view pattern);

}  // namespace dray::tokenizer
