// Two columns of bars, one row for each pair of degrees: the memory of the fullest rank with a mark
// where its device's memory ends, and the time of a token with what links take of it.
#include <fmt/format.h>

#include <algorithm>

#include "base/human.h"
#include "bench/report/html_parts.h"
#include "plan/report/report.h"
#include "plan/report/words.h"

namespace dray::plan {
namespace {

// Lengths in the drawing's own units; the page scales the drawing.
constexpr double kWidth = 960;
constexpr double kTop = 58;
constexpr double kRowHeight = 40;
constexpr double kBarHeight = 16;
constexpr double kLabelWidth = 84;
constexpr double kMemoryLeft = kLabelWidth;
constexpr double kMemoryWidth = 290;
constexpr double kTimeLeft = 560;
constexpr double kTimeWidth = 225;

constexpr const char* kStyle =
    "<style>text{font:12px system-ui,sans-serif;fill:var(--ink,#1c2430)}"
    ".soft{fill:var(--soft,#5b6675)}.bold{font-weight:600}.weights{fill:#2f6f9f}"
    ".spare{fill:#9db8cc}.cache{fill:#c46a1f}.work{fill:#8a4fa3}.link{fill:#b33a4a}"
    ".compute{fill:#2e7d4f}.track{fill:var(--track,#e6eaef)}"
    ".end{stroke:var(--ink,#1c2430);stroke-width:2}"
    ".best{fill:none;stroke:#2e7d4f;stroke-width:1.5}.no{opacity:.45}</style>";

std::string Bytes(double bytes) { return HumanBytes(static_cast<uint64_t>(bytes)); }

std::string Rect(std::string_view kind, double x, double y, double width) {
  return fmt::format(
      "<rect class=\"{}\" x=\"{:.1f}\" y=\"{:.1f}\" width=\"{:.2f}\" height=\"{}\"/>", kind, x, y,
      std::max(0.0, width), kBarHeight);
}

std::string Text(std::string_view kind, double x, double y, std::string_view text) {
  return fmt::format("<text class=\"{}\" x=\"{:.1f}\" y=\"{:.1f}\">{}</text>\n", kind, x, y,
                     bench::EscapeHtml(text));
}

// The largest figures, which make a full bar.
struct Scales {
  double memory = 0;   // bytes
  double seconds = 0;  // of a token
};

Scales ScalesOf(const Plan& plan) {
  Scales scales;
  for (const PlanRow& row : plan.rows) {
    if (!row.figures) continue;
    scales.memory = std::max(scales.memory, row.figures->device_memory_bytes);
    if (row.fits()) {
      scales.seconds = std::max(scales.seconds, row.figures->latency.decode.seconds);
    }
  }
  // A rank that needs several times what its device has is cut off.
  scales.memory *= 1.25;
  return scales;
}

std::string MemoryBar(const PlanRow::Figures& figures, double y, const Scales& scales) {
  const RankMemory& memory = figures.memory;
  const auto width = [&](double bytes) {
    return std::min(bytes / scales.memory, 1.0) * kMemoryWidth;
  };
  const double spare = memory.padding + memory.replicated;
  std::string out = Rect("track", kMemoryLeft, y, width(figures.device_memory_bytes));
  double x = kMemoryLeft;
  const auto add = [&](std::string_view kind, double bytes) {
    const double part = std::min(width(bytes), kMemoryLeft + kMemoryWidth - x);
    out += Rect(kind, x, y, part);
    x += std::max(0.0, part);
  };
  add("weights", memory.weights - spare);
  add("spare", spare);
  add("cache", memory.cache);
  add("work", memory.activations);
  const double end = kMemoryLeft + width(figures.device_memory_bytes);
  out += fmt::format(
      "<line class=\"end\" x1=\"{0:.1f}\" x2=\"{0:.1f}\" y1=\"{1:.1f}\" y2=\"{2:.1f}\"/>", end,
      y - 3, y + kBarHeight + 3);
  return out +
         Text("soft", kMemoryLeft + kMemoryWidth + 8, y + 12,
              fmt::format("{} of {}", Bytes(memory.total()), Bytes(figures.device_memory_bytes)));
}

std::string TimeBar(const PlanRow::Figures& figures, double y, const Scales& scales) {
  const PassesTime& decode = figures.latency.decode;
  const double full = kTimeWidth / scales.seconds;
  const double links = full * decode.link_seconds, all = full * decode.seconds;
  return Rect("compute", kTimeLeft, y, all - links) +
         Rect("link", kTimeLeft + all - links, y, links) +
         Text("soft", kTimeLeft + all + 8, y + 12,
              fmt::format("{}, prompt {}", HumanSeconds(decode.seconds),
                          HumanSeconds(figures.latency.prompt.seconds)));
}

// Keeps a remark inside the picture.
std::string Shortened(const std::string& text) {
  constexpr size_t kMost = 62;
  return text.size() <= kMost ? text : text.substr(0, kMost - 3) + "...";
}

std::string Row(const Plan& plan, size_t index, const Scales& scales) {
  const PlanRow& row = plan.rows[index];
  const double y = kTop + static_cast<double>(index) * kRowHeight + 8;
  std::string out = fmt::format("<g{}>", row.fits() ? "" : " class=\"no\"");
  out += Text("bold", 12, y + 13, Name(row.degrees));
  if (row.figures) out += MemoryBar(*row.figures, y, scales);
  if (row.fits()) {
    out += TimeBar(*row.figures, y, scales);
  } else if (!row.figures) {
    out += Text("soft", kMemoryLeft, y + 13, Shortened(row.reasons.front()));
  } else {
    out += Text("soft", kTimeLeft, y + 13, "does not fit");
  }
  out += "</g>";
  if (plan.best == index) {
    out += fmt::format(
        "<rect class=\"best\" x=\"4\" y=\"{:.1f}\" width=\"{}\" height=\"{}\" rx=\"5\"/>", y - 8,
        kWidth - 8, kRowHeight - 6);
  }
  return out + "\n";
}

struct Key {
  std::string_view kind;
  std::string_view text;
};

std::string Legend(double y) {
  constexpr Key kKeys[] = {
      {"weights", "weights"},  {"spare", "replicated, padding"}, {"cache", "cache"},
      {"work", "activations"}, {"compute", "a token, at work"},  {"link", "on links"}};
  std::string out;
  double x = kMemoryLeft;
  for (const Key& key : kKeys) {
    out += Rect(key.kind, x, y, 16) + Text("soft", x + 22, y + 12, key.text);
    x += 46 + 7.2 * static_cast<double>(key.text.size());
  }
  return out;
}

}  // namespace

std::string ToSvg(const Plan& plan) {
  const Scales scales = ScalesOf(plan);
  const double bottom = kTop + static_cast<double>(plan.rows.size()) * kRowHeight;
  std::string out = fmt::format(
      "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {} {}\" role=\"img\">\n"
      "<title>{}</title>{}\n",
      kWidth, bottom + 34, bench::EscapeHtml(DescribeModel(plan)), kStyle);
  out += Text("bold", 12, 20, plan.facts.name + " on " + plan.machines.spec);
  out += Text("soft", 12, 46, "tp x pp") +
         Text("soft", kMemoryLeft, 46, "memory of the fullest rank") +
         Text("soft", kTimeLeft, 46, "time of a token");
  for (size_t i = 0; i < plan.rows.size(); ++i) out += Row(plan, i, scales);
  return out + Legend(bottom + 8) + "</svg>\n";
}

}  // namespace dray::plan
