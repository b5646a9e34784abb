// What a benchmark found, apart from how it is shown: facts, one table, and charts of it. Written
// as text for a terminal, JSON, CSV, or (html_report.h) as a page.
#pragma once

#include <cstdint>
#include <string>
#include <utility>
#include <variant>
#include <vector>

namespace dray::bench {

// Absent: not measured, or it has no meaning there. A list holds what single repeats came to.
using Cell = std::variant<std::monostate, int64_t, double, std::string, std::vector<double>>;

struct Column {
  std::string key;    // in JSON and CSV: "tokens_per_second"
  std::string title;  // for people: "tok/s"
  int decimals = 1;   // of doubles, for people
  // The text table has the columns that a person compares; JSON, CSV and the page have all.
  enum class Place { kEverywhere, kDataOnly } place = Place::kEverywhere;
};

// Bars from zero to `limit`: what was achieved of what is possible.
struct Bar {
  std::string label;
  double share = 0;  // of the limit
  std::string note;  // the figures: "21.2 of 23.8 tok/s, memory"
};

struct HeatMap {
  std::string title;  // with the unit
  std::string row_title;
  std::string column_title;
  std::vector<std::string> rows;
  std::vector<std::string> columns;
  std::vector<std::vector<double>> values;  // NaN: not measured
};

struct Series {
  std::string label;
  std::vector<std::pair<double, double>> points;
};
struct LineChart {
  std::string title;
  std::string x_title;
  std::string y_title;
  std::vector<Series> series;
};

struct Report {
  std::string title;
  // What was measured, on what, by which version, when, and with which command.
  std::vector<std::pair<std::string, std::string>> facts;
  // Sentences below the table: errors by kind, what was left out.
  std::vector<std::string> notes;
  // No if it was interrupted: the table has what was done until then.
  enum class Completeness { kComplete, kInterrupted } completeness = Completeness::kComplete;
  std::vector<Column> columns;
  std::vector<std::vector<Cell>> rows;  // as long as `columns`
  std::string bars_title;
  std::vector<Bar> bars;
  std::vector<HeatMap> heat_maps;
  std::vector<LineChart> lines;
};

// A cell as people read it; "" if absent.
std::string ToText(const Cell& cell, int decimals);

std::string ToTextTable(const Report& report);
// {"title", "complete", "facts": {...}, "notes": [...], "rows": [{key: value}]}
std::string ToJson(const Report& report);
// The keys, then the rows (RFC 4180); numbers in full.
std::string ToCsv(const Report& report);

}  // namespace dray::bench
