#include "bench/report/report.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <string_view>

#include "base/parse/json.h"

namespace dray::bench {
namespace {

bool IsText(const Cell& cell) { return std::holds_alternative<std::string>(cell); }

// The columns of the text table: those meant for people that have a value in some row.
std::vector<size_t> ShownColumns(const Report& report) {
  std::vector<size_t> shown;
  for (size_t c = 0; c < report.columns.size(); ++c) {
    const bool has_value = std::any_of(
        report.rows.begin(), report.rows.end(),
        [&](const auto& row) { return !std::holds_alternative<std::monostate>(row[c]); });
    if (has_value && report.columns[c].place == Column::Place::kEverywhere) shown.push_back(c);
  }
  return shown;
}

// The number of characters, not bytes.
size_t Width(std::string_view text) {
  return static_cast<size_t>(
      std::count_if(text.begin(), text.end(), [](char c) { return (c & 0xC0) != 0x80; }));
}

void AppendPadded(std::string_view text, size_t width, bool to_the_left, std::string& out) {
  const std::string spaces(width - std::min(width, Width(text)), ' ');
  if (to_the_left) {
    out.append(text).append(spaces);
  } else {
    out.append(spaces).append(text);
  }
}

std::string TableLines(const Report& report) {
  const std::vector<size_t> shown = ShownColumns(report);
  std::vector<size_t> widths;
  for (const size_t c : shown) {
    size_t width = Width(report.columns[c].title);
    for (const auto& row : report.rows) {
      width = std::max(width, Width(ToText(row[c], report.columns[c].decimals)));
    }
    widths.push_back(width);
  }
  std::string out;
  const auto add_line = [&](const auto& text_of) {
    std::string line;
    for (size_t i = 0; i < shown.size(); ++i) {
      if (i > 0) line += "  ";
      AppendPadded(text_of(shown[i]), widths[i], IsText(report.rows.front()[shown[i]]), line);
    }
    line.resize(line.find_last_not_of(' ') + 1);
    out += line + "\n";
  };
  add_line([&](size_t c) { return report.columns[c].title; });
  for (const auto& row : report.rows) {
    add_line([&](size_t c) { return ToText(row[c], report.columns[c].decimals); });
  }
  return out;
}

Json ToJsonValue(const Cell& cell) {
  if (const auto* number = std::get_if<int64_t>(&cell)) return *number;
  if (const auto* number = std::get_if<double>(&cell)) return *number;
  if (const auto* text = std::get_if<std::string>(&cell)) return *text;
  if (const auto* list = std::get_if<std::vector<double>>(&cell)) {
    return Json(Json::Array(list->begin(), list->end()));
  }
  return nullptr;
}

std::string CsvField(const Cell& cell) {
  if (const auto* number = std::get_if<int64_t>(&cell)) return fmt::format("{}", *number);
  if (const auto* number = std::get_if<double>(&cell)) return fmt::format("{}", *number);
  if (const auto* list = std::get_if<std::vector<double>>(&cell)) {
    return fmt::format("{}", fmt::join(*list, ";"));
  }
  const auto* text = std::get_if<std::string>(&cell);
  if (text == nullptr) return "";
  if (text->find_first_of(",\"\r\n") == std::string::npos) return *text;
  std::string quoted = "\"";
  for (const char c : *text) quoted += c == '"' ? std::string("\"\"") : std::string(1, c);
  return quoted + "\"";
}

}  // namespace

std::string ToText(const Cell& cell, int decimals) {
  if (const auto* number = std::get_if<int64_t>(&cell)) return fmt::format("{}", *number);
  if (const auto* number = std::get_if<double>(&cell)) {
    return fmt::format("{:.{}f}", *number, decimals);
  }
  if (const auto* list = std::get_if<std::vector<double>>(&cell)) {
    std::string joined;
    for (const double value : *list) joined += fmt::format("{:.{}f} ", value, decimals);
    return joined.substr(0, joined.empty() ? 0 : joined.size() - 1);
  }
  const auto* text = std::get_if<std::string>(&cell);
  return text == nullptr ? "" : *text;
}

std::string ToTextTable(const Report& report) {
  std::string out = report.title + "\n";
  for (const auto& [name, value] : report.facts) out += fmt::format("  {}: {}\n", name, value);
  out += "\n";
  if (report.rows.empty()) {
    out += "(no measurement was finished)\n";
  } else {
    out += TableLines(report);
  }
  for (const std::string& note : report.notes) out += "\n" + note + "\n";
  if (report.completeness == Report::Completeness::kInterrupted) {
    out += "\nInterrupted: this is what was done until then.\n";
  }
  return out;
}

std::string ToJson(const Report& report) {
  Json facts = Json::MakeObject();
  for (const auto& [name, value] : report.facts) facts.Set(name, value);
  Json notes = Json::MakeArray();
  for (const std::string& note : report.notes) notes.Append(note);
  Json rows = Json::MakeArray();
  for (const auto& row : report.rows) {
    Json object = Json::MakeObject();
    for (size_t c = 0; c < row.size(); ++c) object.Set(report.columns[c].key, ToJsonValue(row[c]));
    rows.Append(std::move(object));
  }
  const bool complete = report.completeness == Report::Completeness::kComplete;
  return Json::MakeObject({{"title", report.title},
                           {"complete", complete},
                           {"facts", std::move(facts)},
                           {"notes", std::move(notes)},
                           {"rows", std::move(rows)}})
             .Dump(2) +
         "\n";
}

std::string ToCsv(const Report& report) {
  std::string out;
  for (size_t c = 0; c < report.columns.size(); ++c) {
    out += (c > 0 ? "," : "") + CsvField(report.columns[c].key);
  }
  out += "\r\n";
  for (const auto& row : report.rows) {
    for (size_t c = 0; c < row.size(); ++c) out += (c > 0 ? "," : "") + CsvField(row[c]);
    out += "\r\n";
  }
  return out;
}

}  // namespace dray::bench
