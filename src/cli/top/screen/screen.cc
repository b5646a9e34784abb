#include "cli/top/screen/screen.h"

#include <fmt/format.h>

#include <algorithm>
#include <cstdint>

#include "base/human.h"
#include "cli/top/screen/model_details.h"
#include "cli/top/screen/model_table.h"

namespace dray::cli {
namespace {

std::string DrawTitle(const ScreenOptions& options, const std::string& up) {
  StyledLine line(options.columns, options.colors);
  const std::string right = up + options.clock + " ";
  line.Add(" dray top  " + options.url, Style::kTitle);
  if (line.width() + right.size() + 1 <= options.columns) {
    line.PadTo(options.columns - right.size(), Style::kTitle).Add(right, Style::kTitle);
  }
  return line.PadTo(options.columns, Style::kTitle).Take();
}

std::string DrawProcess(const ServerView& view, const ScreenOptions& options) {
  constexpr size_t kBarColumns = 22;
  constexpr double kMostBytes = 1e18;
  StyledLine line(options.columns, options.colors);
  line.Add(" processors ", Style::kDim);
  line.Add(fmt::format("{:.2f} of {} ", view.busy_processors, CountText(view.now.processors)));
  line.Add(Bar(view.busy_processors / view.now.processors, kBarColumns), Style::kGood);
  line.Add("  memory ", Style::kDim);
  const double bytes =
      view.now.resident_bytes > 0 ? std::min(view.now.resident_bytes, kMostBytes) : 0;
  line.Add(HumanBytes(static_cast<uint64_t>(bytes)));
  line.Add("  files ", Style::kDim).Add(CountText(view.now.open_files));
  return line.Take();
}

std::string DrawRequests(const ServerView& view, const ScreenOptions& options) {
  StyledLine line(options.columns, options.colors);
  line.Add(" connections ", Style::kDim).Add(CountText(view.now.connections));
  line.Add("  in flight ", Style::kDim).Add(CountText(view.now.requests_in_flight));
  line.Add("  answers/s", Style::kDim);
  for (const size_t digit : {2, 4, 5}) {
    const double rate = view.response_rates.at(digit);
    const Style style = digit == 2 || rate == 0 ? Style::kPlain : Style::kBad;
    line.Add(fmt::format("  {}xx ", digit), Style::kDim).Add(RateText(rate), style);
  }
  line.Add("  left ", Style::kDim).Add(CountText(view.now.cancelled_requests));
  return line.Take();
}

std::string DrawTrouble(const ScreenOptions& options) {
  StyledLine line(options.columns, options.colors);
  if (!options.trouble.empty()) line.Add(" " + options.trouble, Style::kBad);
  return line.Take();
}

std::string DrawKeys(const ScreenOptions& options) {
  StyledLine line(options.columns, options.colors);
  line.Add(" q", Style::kBold).Add(" quit   ", Style::kDim);
  line.Add("up down", Style::kBold).Add(" choose a model   ", Style::kDim);
  line.Add("p", Style::kBold).Add(" pause   ", Style::kDim);
  line.Add("+ -", Style::kBold).Add(" faster, slower: ", Style::kDim);
  line.Add(options.refresh, Style::kDim);
  return line.Take();
}

// Makes the lines `options.rows` and puts the keys at the bottom.
std::vector<std::string> WithKeys(std::vector<std::string> lines, const ScreenOptions& options) {
  lines.resize(std::max<size_t>(options.rows, 1) - 1);
  lines.push_back(DrawKeys(options));
  return lines;
}

void Append(std::vector<std::string> lines, std::vector<std::string>& out) {
  for (std::string& line : lines) out.push_back(std::move(line));
}

}  // namespace

std::vector<std::string> DrawScreen(const ServerView& view, const ScreenOptions& options) {
  std::vector<std::string> lines = {
      DrawTitle(options, fmt::format("up {}   ", DurationText(view.up_seconds))),
      DrawProcess(view, options), DrawRequests(view, options), DrawTrouble(options)};
  std::vector<std::string> details;
  if (!view.models.empty()) {
    const size_t chosen = std::min(options.chosen_model, view.models.size() - 1);
    details = DrawModelDetails(view.models[chosen], view.window_seconds, options);
  }
  // Besides the models' lines: what is there already, the table's heading, an empty line, details and keys.
  const size_t taken = lines.size() + details.size() + 3;
  constexpr size_t kFewestModels = 3;
  const size_t room = options.rows > taken + kFewestModels ? options.rows - taken : kFewestModels;
  Append(DrawModelTable(view, options, room), lines);
  lines.emplace_back();
  Append(std::move(details), lines);
  return WithKeys(std::move(lines), options);
}

std::vector<std::string> DrawWaitingScreen(const ScreenOptions& options) {
  return WithKeys({DrawTitle(options, ""), "", "", DrawTrouble(options)}, options);
}

}  // namespace dray::cli
