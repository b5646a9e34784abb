#include "tokenizer/text/regex.h"

#include <fmt/format.h>
#include <oniguruma.h>

#include <mutex>
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
// Of a whole search: the time that it takes is what counts.
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

Status TooLong(std::string_view text) {
  return {StatusCode::kDeadlineExceeded,
          fmt::format("the tokenizer's patterns take too long on a text of {} bytes; shorten it",
                      text.size())};
}

// What one search needs and may not share with another thread.
class SearchState {
 public:
  explicit SearchState(WorkBudget& budget)
      : time_check_{budget}, region_(onig_region_new()), limits_(onig_new_match_param()) {
    DRAY_CHECK(region_ != nullptr && limits_ != nullptr);
    onig_initialize_match_param(limits_);
    onig_set_retry_limit_in_match_of_match_param(limits_, kMaxRetriesInMatch);
    onig_set_retry_limit_in_search_of_match_param(limits_, kNoLimit);
    onig_set_match_stack_limit_size_of_match_param(limits_, kMaxMatchStack);
    onig_set_progress_callout_of_match_param(limits_, OnTimeCheck);
    onig_set_callout_user_data_of_match_param(limits_, &time_check_);
  }
  SearchState(const SearchState&) = delete;
  SearchState& operator=(const SearchState&) = delete;
  ~SearchState() {
    onig_region_free(region_, 1);
    onig_free_match_param(limits_);
  }
  OnigRegion* region() { return region_; }
  OnigMatchParam* limits() { return limits_; }

 private:
  TimeCheck time_check_;
  OnigRegion* region_;
  OnigMatchParam* limits_;
};

}  // namespace

struct Regex::Program {
  explicit Program(OnigRegex compiled) : regex(compiled) {}
  Program(const Program&) = delete;
  Program& operator=(const Program&) = delete;
  ~Program() { onig_free(regex); }
  OnigRegex regex;
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
  DRAY_ASSIGN_OR_RETURN(const std::string checked, WithTimeChecks(pattern));
  OnigRegex compiled = nullptr;
  OnigErrorInfo info{};
  const int code = onig_new(&compiled, Bytes(checked), Bytes(checked) + checked.size(),
                            ONIG_OPTION_NONE, ONIG_ENCODING_UTF8, ONIG_SYNTAX_DEFAULT, &info);
  if (code != ONIG_NORMAL) {
    return Status(StatusCode::kInvalidArgument,
                  fmt::format("the pattern does not compile: {}", OnigMessage(code, &info)));
  }
  return Regex(std::string(pattern), std::make_unique<Program>(compiled));
}

Status Regex::FindAll(std::string_view text, WorkBudget& budget, std::vector<Match>& out) const {
  if (text.empty()) {
    out.push_back({0, 0, false});
    return OkStatus();
  }
  SearchState state(budget);
  const OnigUChar* const begin = Bytes(text);
  const OnigUChar* const end = begin + text.size();
  size_t covered = 0;    // everything before it is in `out`
  size_t search = 0;     // where the next search starts
  bool matched = false;  // whether there was a match, which then ended at `covered`
  while (search <= text.size()) {
    if (budget.IsSpent()) return TooLong(text);
    onig_region_clear(state.region());
    const int at = onig_search_with_param(program_->regex, begin, end, begin + search, end,
                                          state.region(), ONIG_OPTION_NONE, state.limits());
    if (at == ONIG_MISMATCH) break;
    if (at < 0 && budget.IsSpent()) return TooLong(text);
    if (at < 0) {
      return {StatusCode::kDeadlineExceeded,
              fmt::format("the pattern fails on this text of {} bytes: {}", text.size(),
                          OnigMessage(at, nullptr))};
    }
    // \K can put a match's begin anywhere; such a match before what is covered would not advance.
    const auto match_begin = static_cast<size_t>(state.region()->beg[0]);
    const auto match_end = static_cast<size_t>(state.region()->end[0]);
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
