// The results of a benchmark, apart from how they are shown: facts, one table, and charts of it. A
// report is written as text for a terminal, as JSON, as CSV, or as a page (html_report.h).
#pragma once

#include <cstdint>
#include <string>
#include <utility>
#include <variant>
#include <vector>

namespace dray::bench {

// Absent: not measured, or without meaning in this row. A list holds the results of single repeats.
using Cell = std::variant<std::monostate, int64_t, double, std::string, std::vector<double>>;

struct Column {
  std::string key;    // the name in JSON and CSV: "tokens_per_second"
  std::string title;  // the name for people: "tok/s"
  int decimals = 1;   // digits after the point of a double, for people
  // The text table has the columns that a person compares; JSON, CSV and the page have all.
  enum class Place { kEverywhere, kDataOnly } place = Place::kEverywhere;
};

// Bars from zero to `limit` that show how much of the possible was reached.
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
  // What was measured, on which machine, by which version, when, and with which command.
  std::vector<std::pair<std::string, std::string>> facts;
  // Sentences below the table, e.g. errors by kind, or what was left out.
  std::vector<std::string> notes;
  // kInterrupted: the table has what was measured until the interruption.
  enum class Completeness { kComplete, kInterrupted } completeness = Completeness::kComplete;
  std::vector<Column> columns;
  std::vector<std::vector<Cell>> rows;  // each as long as `columns`
  std::string bars_title;
  std::vector<Bar> bars;
  std::vector<HeatMap> heat_maps;
  std::vector<LineChart> lines;
};

// The text of a cell for people; "" if absent.
std::string ToText(const Cell& cell, int decimals);

std::string ToTextTable(const Report& report);
// {"title", "complete", "facts": {...}, "notes": [...], "rows": [{key: value}]}
std::string ToJson(const Report& report);
// A line of the columns' keys, then the rows (RFC 4180), with all digits.
std::string ToCsv(const Report& report);

}  // namespace dray::bench
