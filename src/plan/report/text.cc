#include <fmt/format.h>

#include <algorithm>
#include <vector>

#include "base/human.h"
#include "plan/report/report.h"
#include "plan/report/words.h"

namespace dray::plan {
namespace {

using Cells = std::vector<std::string>;

std::string Bytes(double bytes) { return HumanBytes(static_cast<uint64_t>(bytes)); }

const Cells kTitles = {"",          "tp x pp", "ranks", "weights", "cache",   "work",
                       "of memory", "prompt",  "token", "tok/s",   "request", "load"};

Cells CellsOf(const Plan& plan, size_t index) {
  const PlanRow& row = plan.rows[index];
  const std::string mark = plan.best == index ? "*" : row.fits() ? "" : "-";
  Cells cells = {mark, Name(row.degrees), fmt::format("{}", row.degrees.num_ranks())};
  if (!row.figures) return cells;
  const PlanRow::Figures& figures = *row.figures;
  const RankMemory& memory = figures.memory;
  cells.insert(cells.end(),
               {Bytes(memory.weights), Bytes(memory.cache), Bytes(memory.activations),
                fmt::format("{:.0f} %", 100 * memory.total() / figures.device_memory_bytes)});
  // Times of a layout that has no memory for the model would mislead.
  if (!row.fits()) return cells;
  cells.insert(cells.end(), {HumanSeconds(figures.latency.prompt.seconds),
                             HumanSeconds(figures.latency.decode.seconds),
                             fmt::format("{:.1f}", figures.tokens_per_second),
                             HumanSeconds(figures.request_seconds), LoadTime(figures.load)});
  return cells;
}

std::string Line(const Cells& cells, const std::vector<size_t>& widths) {
  std::string line;
  for (size_t i = 0; i < cells.size(); ++i) {
    line += fmt::format("{}{:>{}}", i == 0 ? "" : "  ", cells[i], widths[i]);
  }
  return line;
}

std::string Table(const Plan& plan) {
  std::vector<Cells> rows = {kTitles};
  for (size_t i = 0; i < plan.rows.size(); ++i) rows.push_back(CellsOf(plan, i));
  std::vector<size_t> widths(kTitles.size(), 1);
  for (const Cells& row : rows) {
    for (size_t i = 0; i < row.size(); ++i) widths[i] = std::max(widths[i], row[i].size());
  }
  std::string out = Line(rows.front(), widths) + "\n";
  for (size_t i = 0; i < plan.rows.size(); ++i) {
    out += Line(rows[i + 1], widths);
    const std::string remarks = Remarks(plan.rows[i]);
    if (!remarks.empty()) out += "  " + remarks;
    out += "\n";
  }
  return out;
}

std::string TrafficLine(const Plan& plan) {
  const PlanRow& row = plan.rows[*plan.best];
  const Traffic& traffic = row.figures->traffic;
  if (row.degrees.num_ranks() == 1) return "";
  std::string line = "each rank sends";
  if (traffic.token > 0) {
    line += fmt::format(" {} a token and layer ({} a token), {} a row of logits",
                        Bytes(traffic.layer), Bytes(traffic.token), Bytes(traffic.logits));
  }
  if (traffic.stage > 0) {
    line += fmt::format("{} {} a token to the next stage", traffic.token > 0 ? "," : "",
                        Bytes(traffic.stage));
  }
  return line + "\n";
}

std::string BestLines(const Plan& plan) {
  if (!plan.best) return "";
  const PlanRow& row = plan.rows[*plan.best];
  const PlanRow::Figures& figures = *row.figures;
  const auto of_floor = [](const PassesTime& time) {
    return 100 * time.floor_seconds / time.seconds;
  };
  const PassesTime& decode = figures.latency.decode;
  return fmt::format(
             "\n* {} is best: a request takes {}; a token {} (bound by {}, {:.0f} % of it on "
             "links; "
             "the limit is {:.0f} % of it)\n",
             Name(row.degrees), HumanSeconds(figures.request_seconds), HumanSeconds(decode.seconds),
             bench::Name(decode.bound), 100 * decode.link_seconds / decode.seconds,
             of_floor(decode)) +
         TrafficLine(plan);
}

}  // namespace

std::string ToText(const Plan& plan) {
  std::string out = DescribeModel(plan) + "\n";
  for (const std::string& host : DescribeHosts(plan)) out += host + "\n";
  out += DescribeWorkload(plan) + "\n\n" + Table(plan) + BestLines(plan);
  for (const std::string& note : plan.notes) out += note + "\n";
  return out;
}

}  // namespace dray::plan
