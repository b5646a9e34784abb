// Text is HTML, so that it wraps; SVG is used only for marks whose place is a number. Every figure
// of a chart also stands beside it or in the table.
#include "bench/report/html_report.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <limits>

#include "bench/report/html_parts.h"

namespace dray::bench {
namespace {

constexpr const char* kStyle = R"(
:root { color-scheme: light dark; --ink: #1c2430; --soft: #5b6675; --line: #d9dee5; --page: #fbfbfa;
  --card: #ffffff; --bar: #2f6f9f; --good: #2e7d4f; --track: #e6eaef; --heat: #e08a3c;
  --s0: #2f6f9f; --s1: #c46a1f; --s2: #2e7d4f; --s3: #8a4fa3; --s4: #b33a4a; --s5: #5b6675; }
@media (prefers-color-scheme: dark) {
  :root { --ink: #e4e8ee; --soft: #9aa5b4; --line: #333c48; --page: #14181d; --card: #1b2027;
    --bar: #5aa0d0; --good: #58b37f; --track: #2a323c; --heat: #a85f1c;
    --s0: #5aa0d0; --s1: #e39a55; --s2: #58b37f; --s3: #bb86d3; --s4: #e07583; --s5: #9aa5b4; } }
* { box-sizing: border-box; }
body { margin: 0 auto; max-width: 68rem; padding: 1.5rem 1rem 3rem; background: var(--page);
  color: var(--ink); font: 15px/1.5 system-ui, sans-serif; }
h1 { font-size: 1.4rem; margin: 0 0 .75rem; } h2 { font-size: 1.05rem; margin: 2rem 0 .6rem; }
section { background: var(--card); border: 1px solid var(--line); border-radius: 8px;
  padding: .9rem 1rem; }
dl { display: grid; grid-template-columns: max-content 1fr; gap: .15rem 1rem; margin: 0; }
dt { color: var(--soft); } dd { margin: 0; overflow-wrap: anywhere; }
.scroll { overflow-x: auto; } table { border-collapse: collapse; font-variant-numeric: tabular-nums;
  font-size: .87rem; } th, td { padding: .25rem .6rem; text-align: right; white-space: nowrap; }
th { color: var(--soft); font-weight: 600; border-bottom: 1px solid var(--line); }
td.t, th.t { text-align: left; } tbody tr + tr td { border-top: 1px solid var(--line); }
.bar { display: grid; grid-template-columns: 13rem 1fr 3.2rem; gap: 0 .8rem; align-items: center;
  margin: .3rem 0; } .bar small { grid-column: 2 / 4; color: var(--soft); }
.bar svg { width: 100%; height: .9rem; display: block; } .bar b { text-align: right;
  font-variant-numeric: tabular-nums; } .track { fill: var(--track); } .fill { fill: var(--bar); }
.over { fill: var(--good); }
.heat td { background: color-mix(in srgb, var(--heat) calc(var(--h) * 80%), var(--card));
  min-width: 4.5rem; } .heat caption { text-align: left; color: var(--soft); padding-bottom: .3rem; }
.heat tbody th { border: 0; } .maps { display: flex; flex-wrap: wrap; gap: 1.2rem; }
.chart { width: 100%; max-width: 44rem; height: auto; } .chart text { fill: var(--soft);
  font: 12px system-ui, sans-serif; } .axis { stroke: var(--line); }
.legend { display: flex; flex-wrap: wrap; gap: .2rem 1.1rem; color: var(--soft); }
.legend i { display: inline-block; width: .8rem; height: .8rem; border-radius: 2px;
  margin-right: .4rem; vertical-align: -1px; }
.note { color: var(--soft); max-width: 52rem; } .warn { border-left: 4px solid var(--heat);
  padding-left: .8rem; }
@media (max-width: 40rem) { .bar { grid-template-columns: 1fr 3.2rem; } .bar > span {
  grid-column: 1 / 3; } .bar small { grid-column: 1 / 3; } dl { grid-template-columns: 1fr; }
  dt { margin-top: .4rem; } }
)";

std::string Facts(const Report& report) {
  std::string out = "<section><dl>\n";
  for (const auto& [name, value] : report.facts) {
    out += fmt::format("<dt>{}</dt><dd>{}</dd>\n", EscapeHtml(name), EscapeHtml(value));
  }
  return out + "</dl></section>\n";
}

std::string Bars(const Report& report) {
  if (report.bars.empty()) return "";
  std::string out = fmt::format("<h2>{}</h2>\n<section>\n", EscapeHtml(report.bars_title));
  for (const Bar& bar : report.bars) {
    const double width = std::clamp(100 * bar.share, 0.0, 100.0);
    out += fmt::format(
        "<div class=\"bar\"><span>{}</span><svg viewBox=\"0 0 100 10\" "
        "preserveAspectRatio=\"none\" role=\"img\" aria-label=\"{:.0f} %\">"
        "<rect class=\"track\" width=\"100\" height=\"10\"/><rect class=\"{}\" width=\"{:.2f}\" "
        "height=\"10\"/></svg><b>{:.0f} %</b><small>{}</small></div>\n",
        EscapeHtml(bar.label), 100 * bar.share, bar.share > 1 ? "over" : "fill", width,
        100 * bar.share, EscapeHtml(bar.note));
  }
  return out + "</section>\n";
}

std::string HeatMapTable(const HeatMap& map) {
  double least = std::numeric_limits<double>::infinity();
  double most = 0;
  for (const auto& row : map.values) {
    for (const double value : row) {
      if (std::isnan(value)) continue;
      least = std::min(least, value);
      most = std::max(most, value);
    }
  }
  std::string out = fmt::format(
      "<table class=\"heat\"><caption>{}</caption><thead><tr><th>{} \\ {}"
      "</th>",
      EscapeHtml(map.title), EscapeHtml(map.row_title), EscapeHtml(map.column_title));
  for (const std::string& column : map.columns) out += "<th>" + EscapeHtml(column) + "</th>";
  out += "</tr></thead><tbody>\n";
  for (size_t r = 0; r < map.rows.size(); ++r) {
    out += "<tr><th>" + EscapeHtml(map.rows[r]) + "</th>";
    for (const double value : map.values[r]) {
      if (std::isnan(value)) {
        out += "<td style=\"--h:0\">-</td>";
        continue;
      }
      const double heat = most > least ? (value - least) / (most - least) : 0.0;
      out += fmt::format("<td style=\"--h:{:.3f}\">{:.3g}</td>", heat, value);
    }
    out += "</tr>\n";
  }
  return out + "</tbody></table>\n";
}

std::string HeatMaps(const Report& report) {
  if (report.heat_maps.empty()) return "";
  std::string out = "<h2>Grid</h2>\n<section class=\"maps\">\n";
  for (const HeatMap& map : report.heat_maps) {
    out += "<div class=\"scroll\">" + HeatMapTable(map) + "</div>\n";
  }
  return out + "</section>\n";
}

std::string Rows(const Report& report) {
  std::string out = "<h2>All figures</h2>\n<section class=\"scroll\"><table><thead><tr>";
  const auto is_text = [&](size_t c) {
    return !report.rows.empty() && std::holds_alternative<std::string>(report.rows.front()[c]);
  };
  for (size_t c = 0; c < report.columns.size(); ++c) {
    out += fmt::format("<th{}>{}</th>", is_text(c) ? " class=\"t\"" : "",
                       EscapeHtml(report.columns[c].title));
  }
  out += "</tr></thead><tbody>\n";
  for (const auto& row : report.rows) {
    out += "<tr>";
    for (size_t c = 0; c < row.size(); ++c) {
      out += fmt::format("<td{}>{}</td>", is_text(c) ? " class=\"t\"" : "",
                         EscapeHtml(ToText(row[c], report.columns[c].decimals)));
    }
    out += "</tr>\n";
  }
  return out + "</tbody></table></section>\n";
}

}  // namespace

std::string ToHtml(const Report& report) {
  std::string out = fmt::format(
      "<!doctype html>\n<html lang=\"en\"><head><meta charset=\"utf-8\">"
      "<meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">"
      "<title>{0}</title><style>{1}</style></head><body>\n<h1>{0}</h1>\n",
      EscapeHtml(report.title), kStyle);
  if (report.completeness == Report::Completeness::kInterrupted) {
    out += "<p class=\"warn\">Interrupted: this is what was done until then.</p>\n";
  }
  out += Facts(report) + Bars(report);
  for (const LineChart& chart : report.lines) out += ChartSection(chart);
  out += HeatMaps(report) + Rows(report);
  for (const std::string& note : report.notes) {
    out += "<p class=\"note\">" + EscapeHtml(note) + "</p>\n";
  }
  return out + "</body></html>\n";
}

}  // namespace dray::bench
