#include "tokenizer/text/regex.h"

#include <fmt/format.h>
#include <oniguruma.h>

#include <algorithm>
#include <mutex>
#include <optional>
#include <utility>

#include "base/check.h"
#include "tokenizer/text/time_checks.h"
#include "tokenizer/text/utf8.h"

namespace dray::tokenizer {
namespace {

constexpr size_t kMaxPatternBytes = 16 * 1024;
// Levels of groups in a pattern: the compiler recurses by them. Published patterns use
// at most four.
constexpr unsigned kMaxPatternDepth = 100;
// Back-tracks of one attempt at one position: more come from hostile patterns alone. Published ones
// need a few, or as many as the run of white space before them is long.
constexpr unsigned long kMaxRetriesInMatch = 2'000'000;
// Of one attempt without time checks: more than published patterns need on ordinary text. Between two
// back-tracks such a search reads the text once at most, so 256 of them take some 0.5 us for each byte of the
// text, half of what WorkBudget allows.
constexpr unsigned long kMaxUncheckedRetries = 256;
// Of all attempts of a search together, times the size of the text: they may read so many bytes, in 0.5 s.
constexpr size_t kMaxUncheckedBytesRead = size_t{1} << 28;
// Of a whole search with checks: the time that it takes is what counts.
constexpr unsigned long kNoLimit = 0;
constexpr unsigned kMaxMatchStack = 4'000'000;
constexpr unsigned long kMaxSubexpCalls = 100'000;
// A look at the clock costs as much as a few checks.
constexpr unsigned kChecksBetweenLooks = 64;

// What the checks in a pattern (time_checks.h) share during one search.
struct TimeCheck {
  WorkBudget& budget;
  unsigned num_checks = 0;
};

int OnTimeCheck(OnigCalloutArgs*, void* user_data) {
  auto& check = *static_cast<TimeCheck*>(user_data);
  if (++check.num_checks % kChecksBetweenLooks != 0 || !check.budget.IsSpent()) {
    return ONIG_CALLOUT_SUCCESS;
  }
  return ONIGERR_RETRY_LIMIT_IN_SEARCH_OVER;  // ends the search
}

void InitialiseLibrary() {
  static std::once_flag once;
  std::call_once(once, [] {
    OnigEncoding encodings[] = {ONIG_ENCODING_UTF8};
    DRAY_CHECK(onig_initialize(encodings, 1) == ONIG_NORMAL);
    onig_set_parse_depth_limit(kMaxPatternDepth);
    onig_set_subexp_call_limit_in_search(kMaxSubexpCalls);
  });
}

std::string OnigMessage(int code, OnigErrorInfo* info) {
  OnigUChar buffer[ONIG_MAX_ERROR_MESSAGE_LEN];
  const int length = info != nullptr ? onig_error_code_to_str(buffer, code, info)
                                     : onig_error_code_to_str(buffer, code);
  return {reinterpret_cast<const char*>(buffer), static_cast<size_t>(std::max(length, 0))};
}

const OnigUChar* Bytes(std::string_view text) {
  return reinterpret_cast<const OnigUChar*>(text.data());
}

struct RetryLimits {
  unsigned long in_match;
  unsigned long in_search;
};

// The limits of a search, as the library has them.
class MatchParam {
 public:
  explicit MatchParam(const RetryLimits& limits) : param_(onig_new_match_param()) {
    DRAY_CHECK(param_ != nullptr);
    onig_initialize_match_param(param_);
    onig_set_retry_limit_in_match_of_match_param(param_, limits.in_match);
    onig_set_retry_limit_in_search_of_match_param(param_, limits.in_search);
    onig_set_match_stack_limit_size_of_match_param(param_, kMaxMatchStack);
  }
  MatchParam(const MatchParam&) = delete;
  MatchParam& operator=(const MatchParam&) = delete;
  ~MatchParam() { onig_free_match_param(param_); }
  OnigMatchParam* get() const { return param_; }

 private:
  OnigMatchParam* param_;
};

struct FreeRegex {
  void operator()(OnigRegexType* regex) const { onig_free(regex); }
};
using CompiledRegex = std::unique_ptr<OnigRegexType, FreeRegex>;

Result<CompiledRegex> CompilePattern(std::string_view pattern) {
  OnigRegex compiled = nullptr;
  OnigErrorInfo info{};
  const int code = onig_new(&compiled, Bytes(pattern), Bytes(pattern) + pattern.size(),
                            ONIG_OPTION_NONE, ONIG_ENCODING_UTF8, ONIG_SYNTAX_DEFAULT, &info);
  if (code == ONIG_NORMAL) return CompiledRegex(compiled);
  return Status(StatusCode::kInvalidArgument,
                fmt::format("the pattern does not compile: {}", OnigMessage(code, &info)));
}

}  // namespace

struct Regex::Program {
  CompiledRegex checked;
  // The pattern as it is; null if nothing bounds its time but checks.
  CompiledRegex unchecked;
};

// What the searches in one text need and may not share with another thread.
class Regex::Searcher {
 public:
  Searcher(const Program& program, std::string_view text, WorkBudget& budget)
      : program_(program), text_(text), time_check_{budget}, region_(onig_region_new()) {
    DRAY_CHECK(region_ != nullptr);
    if (program.unchecked == nullptr) return;
    const size_t in_search = kMaxUncheckedBytesRead / std::max<size_t>(1, text.size());
    unchecked_limits_.emplace(RetryLimits{
        kMaxUncheckedRetries, std::max<unsigned long>(kMaxUncheckedRetries, in_search)});
  }
  Searcher(const Searcher&) = delete;
  Searcher& operator=(const Searcher&) = delete;
  ~Searcher() { onig_region_free(region_, 1); }

  // Where the first match from `begin` on begins, or the library's negative code.
  int Search(size_t begin) {
    if (program_.unchecked != nullptr) {
      const int at = SearchWith(program_.unchecked.get(), *unchecked_limits_, begin);
      const bool takes_long =
          at == ONIGERR_RETRY_LIMIT_IN_MATCH_OVER || at == ONIGERR_RETRY_LIMIT_IN_SEARCH_OVER;
      if (!takes_long) return at;
    }
    return SearchChecked(begin);
  }
  // Of the match that Search found.
  size_t match_begin() const { return static_cast<size_t>(region_->beg[0]); }
  size_t match_end() const { return static_cast<size_t>(region_->end[0]); }

 private:
  int SearchChecked(size_t begin) {
    if (!checked_limits_) {
      checked_limits_.emplace(RetryLimits{kMaxRetriesInMatch, kNoLimit});
      onig_set_progress_callout_of_match_param(checked_limits_->get(), OnTimeCheck);
      onig_set_callout_user_data_of_match_param(checked_limits_->get(), &time_check_);
    }
    return SearchWith(program_.checked.get(), *checked_limits_, begin);
  }

  int SearchWith(OnigRegex regex, const MatchParam& limits, size_t begin) {
    onig_region_clear(region_);
    const OnigUChar* const text = Bytes(text_);
    const OnigUChar* const end = text + text_.size();
    return onig_search_with_param(regex, text, end, text + begin, end, region_, ONIG_OPTION_NONE,
                                  limits.get());
  }

  const Program& program_;
  const std::string_view text_;
  TimeCheck time_check_;
  OnigRegion* const region_;
  std::optional<MatchParam> unchecked_limits_;  // if there is such a program
  std::optional<MatchParam> checked_limits_;    // made when they are first needed
};

Regex::Regex(std::string pattern, std::unique_ptr<Program> program)
    : pattern_(std::move(pattern)), program_(std::move(program)) {}
Regex::Regex(Regex&&) noexcept = default;
Regex& Regex::operator=(Regex&&) noexcept = default;
Regex::~Regex() = default;

Result<Regex> Regex::Compile(std::string_view pattern) {
  InitialiseLibrary();
  if (pattern.size() > kMaxPatternBytes) {
    return Status(StatusCode::kResourceExhausted,
                  fmt::format("the pattern has {} bytes, above the limit of {}", pattern.size(),
                              kMaxPatternBytes));
  }
  DRAY_ASSIGN_OR_RETURN(const CheckedPattern checked, WithTimeChecks(pattern));
  auto program = std::make_unique<Program>();
  DRAY_ASSIGN_OR_RETURN(program->checked, CompilePattern(checked.text));
  if (checked.is_bounded_by_back_tracks) {
    DRAY_ASSIGN_OR_RETURN(program->unchecked, CompilePattern(pattern));
  }
  return Regex(std::string(pattern), std::move(program));
}

Status Regex::FindAll(std::string_view text, WorkBudget& budget, std::vector<Match>& out) const {
  if (text.empty()) {
    out.push_back({0, 0, false});
    return OkStatus();
  }
  Searcher searcher(*program_, text, budget);
  size_t covered = 0;    // everything before it is in `out`
  size_t search = 0;     // where the next search starts
  bool matched = false;  // whether there was a match, which then ended at `covered`
  while (search <= text.size()) {
    if (budget.IsSpent()) return budget.SpentError(text.size());
    const int at = searcher.Search(search);
    if (at == ONIG_MISMATCH) break;
    if (at < 0 && budget.IsSpent()) return budget.SpentError(text.size());
    if (at < 0) {
      return {StatusCode::kDeadlineExceeded,
              fmt::format("the pattern fails on this text of {} bytes: {}", text.size(),
                          OnigMessage(at, nullptr))};
    }
    // \K can put a match's begin anywhere; such a match before what is covered would not advance.
    const size_t match_begin = searcher.match_begin();
    const size_t match_end = searcher.match_end();
    const auto inside_char = [&](size_t pos) {
      return pos < text.size() && IsContinuation(text[pos]);
    };
    if (match_begin > text.size() || match_end > text.size() || inside_char(match_begin) ||
        inside_char(match_end)) {
      return {StatusCode::kInvalidArgument, "the pattern matches parts of a character"};
    }
    const bool empty_after_match = match_begin == match_end && matched && match_end == covered;
    if (empty_after_match || match_begin < covered || match_end < match_begin) {
      search += search < text.size() ? DecodeChar(text, search).bytes : 1;
      continue;
    }
    if (covered != match_begin) out.push_back({covered, match_begin, false});
    out.push_back({match_begin, match_end, true});
    covered = search = match_end;
    matched = true;
  }
  if (covered != text.size()) out.push_back({covered, text.size(), false});
  return OkStatus();
}

void FindAllLiteral(std::string_view text, std::string_view literal, std::vector<Match>& out) {
  DRAY_CHECK(!literal.empty());
  if (text.empty()) {
    out.push_back({0, 0, false});
    return;
  }
  size_t covered = 0;
  for (size_t at = text.find(literal); at != std::string_view::npos;
       at = text.find(literal, covered)) {
    if (at != covered) out.push_back({covered, at, false});
    covered = at + literal.size();
    out.push_back({at, covered, true});
  }
  if (covered != text.size()) out.push_back({covered, text.size(), false});
}

}  // namespace dray::tokenizer
