// Regular expressions of tokenizer files, run by Oniguruma (regex.cc alone includes it): the
// library that Hugging Face's tokenizers uses, so that syntax, classes and back-tracking order are
// the same. Patterns come from untrusted files: pattern size, nesting, match stack, back-tracking
// steps and total time are limited.
#pragma once

#include <cstddef>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "base/status.h"
#include "tokenizer/text/work_budget.h"

namespace dray::tokenizer {

// A part of a text, in bytes, and whether the pattern matched it.
struct Match {
  size_t begin = 0;
  size_t end = 0;
  bool is_match = false;
};

class Regex {
 public:
  // kInvalidArgument with the library's reason if the pattern does not compile, kUnsupported for
  // what WithTimeChecks refuses.
  static Result<Regex> Compile(std::string_view pattern);

  Regex(Regex&&) noexcept;
  Regex& operator=(Regex&&) noexcept;
  ~Regex();

  // Cuts `text` (valid UTF-8) into matches and what lies between them, left to right, covering it
  // all. kDeadlineExceeded if the pattern needs too many steps on this text, or `budget`'s error if it is spent.
  // Safe from several threads.
  Status FindAll(std::string_view text, WorkBudget& budget, std::vector<Match>& out) const;

  const std::string& pattern() const { return pattern_; }

 private:
  struct Program;
  class Searcher;
  Regex(std::string pattern, std::unique_ptr<Program> program);

  std::string pattern_;
  std::unique_ptr<Program> program_;
};

// The same cut for a fixed, non-empty text.
void FindAllLiteral(std::string_view text, std::string_view literal, std::vector<Match>& out);

}  // namespace dray::tokenizer
