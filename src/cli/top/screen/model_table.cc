#include "cli/top/screen/model_table.h"

#include <fmt/format.h>

#include <algorithm>
#include <string_view>

#include "base/human.h"
#include "cli/top/screen/figures.h"

namespace dray::cli {
namespace {

std::string Workers(const ModelView& model) {
  return fmt::format("{}/{}", model.status.ready_workers, model.status.max_workers);
}
std::string Running(const ModelView& model) { return CountText(model.numbers->running); }
std::string Waiting(const ModelView& model) {
  return CountText(model.numbers->waiting + static_cast<double>(model.status.queued));
}
std::string PromptRate(const ModelView& model) { return RateText(model.prompt_token_rate); }
std::string TokenRate(const ModelView& model) { return RateText(model.generated_token_rate); }
std::string Batch(const ModelView& model) {
  return model.batch > 0 ? fmt::format("{:.1f}", model.batch) : "-";
}
std::string Cache(const ModelView& model) {
  return PercentText(model.numbers->cache_used_blocks / model.numbers->cache_blocks);
}
std::string FirstToken(const ModelView& model) {
  return LatencyText(model.time_to_first_token.p95);
}
std::string PerToken(const ModelView& model) { return LatencyText(model.time_per_token.p95); }

struct Column {
  std::string_view title;
  size_t width;          // with the gap on its left
  size_t least_columns;  // narrower terminals do not have the column
  std::string (*text)(const ModelView& model);
};

constexpr size_t kAlways = 0;
constexpr Column kColumns[] = {
    {"WORKERS", 8, kAlways, Workers},     {"RUN", 6, kAlways, Running},
    {"WAIT", 6, kAlways, Waiting},        {"PROMPT/s", 10, kAlways, PromptRate},
    {"TOKENS/s", 10, kAlways, TokenRate}, {"BATCH", 7, kAlways, Batch},
    {"CACHE", 7, kAlways, Cache},         {"FIRST TOKEN p95", 17, 120, FirstToken},
    {"PER TOKEN p95", 15, 120, PerToken},
};
constexpr size_t kStateWidth = 10;
constexpr size_t kLeastNameWidth = 12;

// The columns that the model's name may take.
size_t NameWidth(size_t columns) {
  size_t taken = kStateWidth + 1;  // one on the left, where the chosen model is marked
  for (const Column& column : kColumns) {
    if (columns >= column.least_columns) taken += column.width;
  }
  return columns > taken + kLeastNameWidth ? columns - taken : kLeastNameWidth;
}

// `text` cut to the column's width less its gap, at the column's right end.
std::string RightAligned(std::string_view text, size_t width) {
  return fmt::format("{:>{}}", text.substr(0, width - 1), width);
}

// "33 % of 12.30 GB are loaded".
std::string LoadProgress(const ModelStatus& status) {
  if (status.total_bytes <= 0) return "";
  const double share =
      static_cast<double>(status.loaded_bytes) / static_cast<double>(status.total_bytes);
  return fmt::format("  {} of {} are loaded", PercentText(share),
                     HumanBytes(static_cast<uint64_t>(status.total_bytes)));
}

std::string DrawHeading(const ScreenOptions& options) {
  StyledLine line(options.columns, options.colors);
  line.Add(" MODEL", Style::kBold).PadTo(1 + NameWidth(options.columns));
  line.Add(fmt::format("{:<{}}", " STATE", kStateWidth), Style::kBold);
  for (const Column& column : kColumns) {
    if (options.columns < column.least_columns) continue;
    line.Add(RightAligned(column.title, column.width), Style::kBold);
  }
  return line.Take();
}

std::string DrawModel(const ModelView& model, const ScreenOptions& options, bool is_chosen) {
  StyledLine line(options.columns, options.colors);
  const Style name_style = is_chosen ? Style::kBold : Style::kPlain;
  const size_t name_width = NameWidth(options.columns);
  const std::string name = model.version.empty() ? model.name : model.name + ":" + model.version;
  line.Add(is_chosen ? ">" : " ", name_style);
  line.Add(name.substr(0, name_width), name_style).PadTo(1 + name_width);
  line.Add(" ").Add(model.status.state.substr(0, kStateWidth - 1),
                    StyleOfState(model.status.state));
  line.PadTo(1 + name_width + kStateWidth);
  if (!model.numbers) return line.Add(LoadProgress(model.status)).Take();
  for (const Column& column : kColumns) {
    if (options.columns < column.least_columns) continue;
    line.Add(RightAligned(column.text(model), column.width));
  }
  return line.Take();
}

}  // namespace

Style StyleOfState(const std::string& state) {
  if (state == "READY" || state == "Healthy") return Style::kGood;
  return state == "PENDING" ? Style::kWarning : Style::kBad;
}

std::vector<std::string> DrawModelTable(const ServerView& view, const ScreenOptions& options,
                                        size_t rows) {
  std::vector<std::string> lines = {DrawHeading(options)};
  const size_t count = view.models.size();
  if (count == 0) {
    StyledLine none(options.columns, options.colors);
    lines.push_back(none.Add(" the server has no models", Style::kDim).Take());
    return lines;
  }
  const size_t shown = count <= rows ? count : std::max<size_t>(rows, 2) - 1;
  const size_t chosen = std::min(options.chosen_model, count - 1);
  const size_t first = chosen < shown ? 0 : chosen + 1 - shown;
  for (size_t i = first; i < first + shown; ++i) {
    lines.push_back(DrawModel(view.models[i], options, i == chosen));
  }
  if (shown < count) {
    StyledLine rest(options.columns, options.colors);
    lines.push_back(rest.Add(fmt::format(" {} of {} models", shown, count), Style::kDim).Take());
  }
  return lines;
}

}  // namespace dray::cli
