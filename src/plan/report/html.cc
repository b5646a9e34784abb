#include <fmt/format.h>

#include "base/human.h"
#include "bench/report/html_parts.h"
#include "plan/report/report.h"
#include "plan/report/words.h"

namespace dray::plan {
namespace {

constexpr const char* kStyle = R"(
:root { color-scheme: light dark; --ink: #1c2430; --soft: #5b6675; --line: #d9dee5; --page: #fbfbfa;
  --card: #ffffff; --good: #2e7d4f; --track: #e6eaef; }
@media (prefers-color-scheme: dark) {
  :root { --ink: #e4e8ee; --soft: #9aa5b4; --line: #333c48; --page: #14181d; --card: #1b2027;
    --good: #58b37f; --track: #2a323c; } }
body { margin: 0 auto; max-width: 68rem; padding: 1.5rem 1rem 3rem; background: var(--page);
  color: var(--ink); font: 15px/1.5 system-ui, sans-serif; }
h1 { font-size: 1.4rem; margin: 0 0 .75rem; } h2 { font-size: 1.05rem; margin: 2rem 0 .6rem; }
section { background: var(--card); border: 1px solid var(--line); border-radius: 8px;
  padding: .9rem 1rem; overflow-x: auto; } svg { width: 100%; min-width: 44rem; height: auto; }
p { margin: .2rem 0; } .soft { color: var(--soft); }
table { border-collapse: collapse; font-variant-numeric: tabular-nums; font-size: .87rem; }
th, td { padding: .25rem .6rem; text-align: right; white-space: nowrap; }
th { color: var(--soft); border-bottom: 1px solid var(--line); }
td.t { text-align: left; white-space: normal; color: var(--soft); padding-top: 0; }
tr.best td { color: var(--good); font-weight: 600; }
)";

constexpr const char* kHead =
    "<tr><th>tp x pp</th><th>ranks</th><th>weights</th><th>cache</th><th>activations</th>"
    "<th>of memory</th><th>prompt</th><th>token</th><th>tok/s</th><th>request</th>"
    "<th>sent, token and layer</th><th>load</th></tr>";

std::string Bytes(double bytes) { return HumanBytes(static_cast<uint64_t>(bytes)); }

std::string Cell(const std::string& text) { return "<td>" + bench::EscapeHtml(text) + "</td>"; }

std::string Cells(const PlanRow& row) {
  const PlanRow::Figures& figures = *row.figures;
  const RankMemory& memory = figures.memory;
  std::string out =
      Cell(Bytes(memory.weights)) + Cell(Bytes(memory.cache)) + Cell(Bytes(memory.activations)) +
      Cell(fmt::format("{:.0f} %", 100 * memory.total() / figures.device_memory_bytes));
  if (!row.fits()) return out + "<td colspan=\"6\"></td>";
  return out + Cell(HumanSeconds(figures.latency.prompt.seconds)) +
         Cell(HumanSeconds(figures.latency.decode.seconds)) +
         Cell(fmt::format("{:.1f}", figures.tokens_per_second)) +
         Cell(HumanSeconds(figures.request_seconds)) + Cell(Bytes(figures.traffic.layer)) +
         Cell(LoadTime(figures.load));
}

std::string Table(const Plan& plan) {
  std::string out = fmt::format("<table><thead>{}</thead><tbody>\n", kHead);
  for (size_t i = 0; i < plan.rows.size(); ++i) {
    const PlanRow& row = plan.rows[i];
    out += fmt::format("<tr{}>", plan.best == i ? " class=\"best\"" : "") +
           Cell(Name(row.degrees)) + Cell(std::to_string(row.degrees.num_ranks()));
    out += row.figures ? Cells(row) : "<td colspan=\"10\"></td>";
    out += "</tr>\n";
    if (Remarks(row).empty()) continue;
    out += "<tr><td></td><td class=\"t\" colspan=\"11\">" + bench::EscapeHtml(Remarks(row)) +
           "</td></tr>\n";
  }
  return out + "</tbody></table>";
}

std::string Paragraph(const std::string& text) {
  return "<p class=\"soft\">" + bench::EscapeHtml(text) + "</p>\n";
}

}  // namespace

std::string ToHtml(const Plan& plan) {
  std::string out = fmt::format(
      "<!doctype html>\n<html lang=\"en\"><head><meta charset=\"utf-8\">"
      "<meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">"
      "<title>{0}</title><style>{1}</style></head><body>\n<h1>{0}</h1>\n",
      bench::EscapeHtml(plan.facts.name + " on " + plan.machines.spec), kStyle);
  out += Paragraph(DescribeModel(plan));
  for (const std::string& host : DescribeHosts(plan)) out += Paragraph(host);
  out += Paragraph(DescribeWorkload(plan));
  out += "<section>\n" + ToSvg(plan) + "</section>\n<h2>All figures</h2>\n<section>" + Table(plan) +
         "</section>\n";
  for (const std::string& note : plan.notes) out += Paragraph(note);
  return out + "</body></html>\n";
}

}  // namespace dray::plan
