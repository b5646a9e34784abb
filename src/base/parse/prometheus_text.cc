#include "base/parse/prometheus_text.h"

#include <fmt/format.h>

#include <algorithm>
#include <limits>
#include <optional>

#include "base/parse/parse_number.h"

namespace dray {
namespace {

constexpr std::string_view kSpaces = " \t";

bool IsNameStart(char c) {
  return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == '_' || c == ':';
}

bool IsNameCharacter(char c) { return IsNameStart(c) || (c >= '0' && c <= '9'); }

Status Corrupt(std::string_view what) { return {StatusCode::kCorrupt, std::string(what)}; }

// Numbers as Go writes and reads them: with a sign, "Inf" and "NaN".
std::optional<double> ParseValue(std::string_view text) {
  if (text == "NaN") return std::numeric_limits<double>::quiet_NaN();
  const bool has_sign = text.starts_with('+') || text.starts_with('-');
  const std::string_view digits = text.substr(has_sign ? 1 : 0);
  if (digits.starts_with('+') || digits.starts_with('-')) return std::nullopt;
  const std::optional<double> value =
      digits == "Inf" ? std::numeric_limits<double>::infinity() : ParseDouble(digits);
  return value && text.starts_with('-') ? -*value : value;
}

// Reads one line from left to right.
class LineParser {
 public:
  explicit LineParser(std::string_view line) : rest_(line) {}

  Result<MetricLine> Parse() {
    MetricLine out;
    DRAY_ASSIGN_OR_RETURN(out.name, TakeName("a metric's name"));
    SkipSpaces();
    if (TakeIf('{')) DRAY_RETURN_IF_ERROR(TakeLabels(out));
    SkipSpaces();
    const auto value = ParseValue(TakeWord());
    if (!value) return Corrupt("the value is no number");
    out.value = *value;
    SkipSpaces();
    if (!rest_.empty() && !ParseInt64(TakeWord())) return Corrupt("the time stamp is no integer");
    SkipSpaces();
    if (!rest_.empty()) return Corrupt("something follows the time stamp");
    return out;
  }

 private:
  void SkipSpaces() {
    rest_.remove_prefix(std::min(rest_.find_first_not_of(kSpaces), rest_.size()));
  }

  bool TakeIf(char c) {
    if (!rest_.starts_with(c)) return false;
    rest_.remove_prefix(1);
    return true;
  }

  std::string_view TakeFirst(size_t count) {
    const std::string_view taken = rest_.substr(0, count);
    rest_.remove_prefix(taken.size());
    return taken;
  }

  std::string_view TakeWord() { return TakeFirst(rest_.find_first_of(kSpaces)); }

  Result<std::string> TakeName(const char* what) {
    if (rest_.empty() || !IsNameStart(rest_.front())) {
      return Corrupt(fmt::format("{} is missing", what));
    }
    const auto end = std::find_if_not(rest_.begin(), rest_.end(), IsNameCharacter);
    return std::string(TakeFirst(static_cast<size_t>(end - rest_.begin())));
  }

  // Takes `name="value", ...}`, where a comma may stand behind the last value.
  Status TakeLabels(MetricLine& out) {
    for (;;) {
      SkipSpaces();
      if (TakeIf('}')) return OkStatus();
      DRAY_ASSIGN_OR_RETURN(std::string name, TakeName("a label's name"));
      SkipSpaces();
      if (!TakeIf('=')) return Corrupt("a label has no =");
      SkipSpaces();
      if (!TakeIf('"')) return Corrupt("a label's value has no quotes");
      DRAY_ASSIGN_OR_RETURN(std::string value, TakeQuoted());
      if (out.FindLabel(name) != nullptr) {
        return Corrupt(fmt::format("the label {} is there twice", name));
      }
      out.labels.emplace_back(std::move(name), std::move(value));
      SkipSpaces();
      if (!TakeIf(',') && !rest_.starts_with('}')) return Corrupt("labels have no comma between");
    }
  }

  // Takes the text up to the quote that ends it.
  Result<std::string> TakeQuoted() {
    std::string out;
    while (!rest_.empty()) {
      const char c = TakeFirst(1).front();
      if (c == '"') return out;
      if (c != '\\') {
        out += c;
      } else if (TakeIf('n')) {
        out += '\n';
      } else if (rest_.starts_with('\\') || rest_.starts_with('"')) {
        out += TakeFirst(1);
      } else {
        return Corrupt("an escape in a label's value is not \\\\, \\\" or \\n");
      }
    }
    return Corrupt("a label's value does not end");
  }

  std::string_view rest_;
};

}  // namespace

const std::string* MetricLine::FindLabel(std::string_view key) const {
  for (const auto& [label, text] : labels) {
    if (label == key) return &text;
  }
  return nullptr;
}

Result<std::vector<MetricLine>> ParsePrometheusText(std::string_view text) {
  std::vector<MetricLine> out;
  for (size_t number = 1; !text.empty(); ++number) {
    std::string_view line = text.substr(0, text.find('\n'));
    text.remove_prefix(std::min(line.size() + 1, text.size()));
    line.remove_prefix(std::min(line.find_first_not_of(kSpaces), line.size()));
    if (line.empty() || line.starts_with('#')) continue;
    auto parsed = LineParser(line).Parse();
    if (!parsed.ok()) {
      return parsed.status().WithPrefix(fmt::format("line {} of the metrics", number));
    }
    out.push_back(std::move(parsed).value());
  }
  return out;
}

}  // namespace dray
