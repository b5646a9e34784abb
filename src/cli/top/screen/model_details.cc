#include "cli/top/screen/model_details.h"

#include <fmt/format.h>

#include <algorithm>

#include "cli/top/screen/figures.h"

namespace dray::cli {
namespace {

constexpr size_t kLabelColumns = 16;
constexpr size_t kValueColumns = 12;

// A line that begins with what its figures are.
StyledLine Labelled(std::string_view label, const ScreenOptions& options) {
  StyledLine line(options.columns, options.colors);
  line.Add(" ").Add(label, Style::kDim).PadTo(kLabelColumns);
  return line;
}

std::string DrawTitle(const ModelView& model, const ScreenOptions& options) {
  StyledLine line(options.columns, options.colors);
  line.Add(" ").Add(model.name, Style::kBold);
  if (!model.version.empty()) line.Add(", version " + model.version);
  if (!model.status.failure.empty()) line.Add("  ").Add(model.status.failure, Style::kBad);
  return line.Take();
}

std::string DrawTokens(const ModelView& model, const ScreenOptions& options) {
  StyledLine line = Labelled("tokens/s", options);
  line.Add(fmt::format("{:<{}}", RateText(model.generated_token_rate), kValueColumns));
  const std::string most = model.token_rates.empty()
                               ? ""
                               : "  up to " + RateText(*std::max_element(model.token_rates.begin(),
                                                                         model.token_rates.end()));
  const size_t taken = line.width() + most.size() + 1;
  if (options.columns > taken) {
    line.Add(Curve(model.token_rates, options.columns - taken, options.glyphs), Style::kGood);
  }
  return line.Add(most, Style::kDim).Take();
}

std::string DrawCache(const ModelNumbers& numbers, const ScreenOptions& options) {
  const double share = numbers.cache_used_blocks / numbers.cache_blocks;
  const std::string blocks = fmt::format("  {} of {} blocks", CountText(numbers.cache_used_blocks),
                                         CountText(numbers.cache_blocks));
  StyledLine line = Labelled("cache", options);
  line.Add(fmt::format("{:<{}}", PercentText(share), kValueColumns));
  const size_t taken = line.width() + blocks.size() + 1;
  constexpr double kAlmostFull = 0.9;
  if (options.columns > taken) {
    line.Add(Bar(share, options.columns - taken),
             share > kAlmostFull ? Style::kWarning : Style::kGood);
  }
  return line.Add(blocks).Take();
}

void DrawLatencies(const ModelView& model, const std::optional<double>& window_seconds,
                   const ScreenOptions& options, std::vector<std::string>& lines) {
  StyledLine heading = Labelled("latency", options);
  heading.Add(fmt::format("{:<{}}{:<{}}", "p50", kValueColumns, "p95", kValueColumns),
              Style::kBold);
  heading.Add(window_seconds ? "of the last " + DurationText(*window_seconds)
                             : "since the model was loaded",
              Style::kDim);
  lines.push_back(heading.Take());
  const std::pair<const char*, const Latency*> rows[] = {
      {"  queue", &model.queue_time},
      {"  first token", &model.time_to_first_token},
      {"  per token", &model.time_per_token},
      {"  request", &model.request_time},
  };
  for (const auto& [label, latency] : rows) {
    StyledLine line = Labelled(label, options);
    line.Add(fmt::format("{:<{}}{}", LatencyText(latency->p50), kValueColumns,
                         LatencyText(latency->p95)));
    lines.push_back(line.Take());
  }
}

// "7 queue full" in red, or dim if there is none of it.
void AddCount(StyledLine& line, double count, const char* what, Style style) {
  line.Add(fmt::format("{} {}   ", CountText(count), what), count > 0 ? style : Style::kDim);
}

void DrawCounts(const ModelNumbers& numbers, const ScreenOptions& options,
                std::vector<std::string>& lines) {
  StyledLine ended = Labelled("requests", options);
  AddCount(ended, numbers.stopped + numbers.reached_length, "done", Style::kPlain);
  AddCount(ended, numbers.cancelled, "cancelled", Style::kPlain);
  AddCount(ended, numbers.timed_out, "timed out", Style::kWarning);
  AddCount(ended, numbers.failed, "failed", Style::kBad);
  lines.push_back(ended.Take());
  StyledLine refused = Labelled("refused", options);
  AddCount(refused, numbers.refused_queue_full, "queue full", Style::kBad);
  AddCount(refused, numbers.refused_other, "wrong", Style::kWarning);
  lines.push_back(refused.Take());
  StyledLine engine = Labelled("engine", options);
  AddCount(engine, numbers.preemptions, "preempted", Style::kWarning);
  AddCount(engine, numbers.restarts, "restarts", Style::kWarning);
  if (numbers.restarting > 0) AddCount(engine, numbers.restarting, "restarting", Style::kBad);
  if (numbers.drafted_tokens > 0) {
    engine.Add(fmt::format("guesses {} right",
                           PercentText(numbers.accepted_tokens / numbers.drafted_tokens)));
  }
  lines.push_back(engine.Take());
}

}  // namespace

std::vector<std::string> DrawModelDetails(const ModelView& model,
                                          const std::optional<double>& window_seconds,
                                          const ScreenOptions& options) {
  std::vector<std::string> lines = {DrawTitle(model, options)};
  if (!model.numbers) return lines;
  lines.push_back(DrawTokens(model, options));
  lines.push_back(DrawCache(*model.numbers, options));
  DrawLatencies(model, window_seconds, options, lines);
  DrawCounts(*model.numbers, options, lines);
  return lines;
}

}  // namespace dray::cli
