#include "bench/load/load_bench.h"

#include <fmt/format.h>

#include <limits>
#include <utility>

#include "bench/progress.h"
#include "bench/statistics.h"

namespace dray::bench {
namespace {

constexpr int64_t kRequestsPerClient = 4;
constexpr int64_t kRequestsAtARate = 20;
constexpr int64_t kNoLimit = std::numeric_limits<int64_t>::max();

std::vector<LoadLevel> PlanLevels(const LoadOptions& options) {
  const auto requests = [&](int64_t by_default) {
    if (options.requests > 0) return options.requests;
    return options.seconds > 0 ? kNoLimit : by_default;
  };
  std::vector<LoadLevel> levels;
  for (const double rate : options.rates) {
    levels.push_back({.clients = 0,
                      .rate = rate,
                      .requests = requests(kRequestsAtARate),
                      .seconds = options.seconds,
                      .seed = options.seed});
  }
  for (const int64_t clients : options.clients) {
    if (!options.rates.empty()) break;
    levels.push_back({.clients = clients,
                      .rate = 0,
                      .requests = requests(kRequestsPerClient * clients),
                      .seconds = options.seconds,
                      .seed = options.seed});
  }
  return levels;
}

std::string Describe(const LoadLevel& level) {
  if (level.rate > 0) return fmt::format("{} requests a second", level.rate);
  return fmt::format("{} client{}", level.clients, level.clients == 1 ? "" : "s");
}

std::vector<Column> Columns() {
  constexpr auto kDataOnly = Column::Place::kDataOnly;
  return {{"clients", "clients"},
          {"rate", "rate/s", 2},
          {"answered", "answered"},
          {"errors", "errors"},
          {"requests_per_second", "req/s", 2},
          {"output_tokens_per_second", "out tok/s"},
          {"ttft_p50_s", "first token p50 s", 3},
          {"ttft_p90_s", "p90", 3},
          {"ttft_p99_s", "p99", 3},
          {"tpot_p50_ms", "per token p50 ms", 1},
          {"tpot_p90_ms", "p90", 1},
          {"tpot_p99_ms", "p99", 1},
          {"total_p50_s", "whole p50 s", 3},
          {"total_p90_s", "p90", 3},
          {"total_p99_s", "p99", 3},
          {"seconds", "seconds", 2, kDataOnly},
          {"output_tokens", "output tokens", 0, kDataOnly},
          {"prompt_tokens", "prompt tokens", 0, kDataOnly}};
}

Cell Scaled(const std::vector<double>& values, double share, double unit) {
  if (values.empty()) return std::monostate();
  return Percentile(values, share) * unit;
}

void AddRow(const LoadLevel& level, const LoadResult& result, Report& report) {
  int64_t errors = 0;
  for (const auto& [what, count] : result.errors) {
    errors += count;
    report.notes.push_back(fmt::format("{}: {} times: {}", Describe(level), count, what));
  }
  const double seconds = result.seconds > 0 ? result.seconds : 1;
  const auto& first = result.first_token_seconds;
  const auto& between = result.seconds_per_token;
  const auto& total = result.total_seconds;
  report.rows.push_back(
      {level.rate > 0 ? Cell() : Cell(level.clients), level.rate > 0 ? Cell(level.rate) : Cell(),
       result.answered, errors, static_cast<double>(result.answered) / seconds,
       static_cast<double>(result.output_tokens) / seconds, Scaled(first, 0.5, 1),
       Scaled(first, 0.9, 1), Scaled(first, 0.99, 1), Scaled(between, 0.5, 1e3),
       Scaled(between, 0.9, 1e3), Scaled(between, 0.99, 1e3), Scaled(total, 0.5, 1),
       Scaled(total, 0.9, 1), Scaled(total, 0.99, 1), result.seconds, result.output_tokens,
       result.prompt_tokens > 0 ? Cell(result.prompt_tokens) : Cell()});
  const double x = level.rate > 0 ? level.rate : static_cast<double>(level.clients);
  report.lines[0].series[0].points.emplace_back(
      x, static_cast<double>(result.output_tokens) / seconds);
  if (first.empty()) return;
  report.lines[1].series[0].points.emplace_back(x, Percentile(first, 0.5));
  report.lines[1].series[1].points.emplace_back(x, Percentile(first, 0.9));
}

Report NewReport(const LoadOptions& options) {
  Report report;
  report.title = "A server under load";
  report.columns = Columns();
  const LoadTarget& target = options.target;
  report.facts.emplace_back(
      "server", fmt::format("{}{}", target.server.url.ToString(), TargetOf(target.call)));
  report.facts.emplace_back(
      "requests", fmt::format("{}, {}, {} new tokens", Name(target.call.api),
                              target.call.delivery == Delivery::kStreamed ? "streamed" : "whole",
                              target.call.new_tokens));
  const std::string x = options.rates.empty() ? "clients" : "requests a second";
  report.lines.push_back({"Output tokens a second", x, "tok/s", {{"out tok/s", {}}}});
  report.lines.push_back(
      {"Time to the first token, s", x, "s", {{"median", {}}, {"90 of 100", {}}}});
  return report;
}

// Sends one request at a time. If none was answered, returns the first error.
Status WarmUp(const LoadOptions& options, Progress& progress) {
  progress.Begin("warming up", 1);
  const LoadLevel level = {.requests = options.warm_up, .seed = options.seed};
  const LoadResult result = RunLevel(options.target, level, options.prompts, 0, options.stop);
  if (result.answered > 0 || result.errors.empty()) return OkStatus();
  const std::string& what = result.errors.begin()->first;
  // A server that refuses a request names the reason itself.
  const bool refused = what.starts_with("HTTP 4") && !what.starts_with("HTTP 404");
  return {StatusCode::kUnavailable,
          fmt::format("{}: {}{}", options.target.server.url.ToString(), what,
                      refused ? ""
                              : fmt::format(" (is this the server's address, and its API {}?)",
                                            Name(options.target.call.api)))};
}

}  // namespace

Result<Report> RunLoad(const LoadOptions& options) {
  const std::vector<LoadLevel> levels = PlanLevels(options);
  const auto cost = [](const LoadLevel& level) {
    return level.seconds > 0 ? level.seconds : static_cast<double>(level.requests);
  };
  double total_cost = 1;
  for (const LoadLevel& level : levels) total_cost += cost(level);
  Progress progress(total_cost, stderr);
  if (options.warm_up > 0) DRAY_RETURN_IF_ERROR(WarmUp(options, progress));
  Report report = NewReport(options);
  auto next_prompt = static_cast<size_t>(options.warm_up);
  for (const LoadLevel& level : levels) {
    progress.Begin(Describe(level), cost(level));
    const LoadResult result =
        RunLevel(options.target, level, options.prompts, next_prompt, options.stop);
    next_prompt += static_cast<size_t>(result.answered);
    if (result.answered > 0 || !result.errors.empty()) AddRow(level, result, report);
    if (!result.interrupted) continue;
    report.completeness = Report::Completeness::kInterrupted;
    break;
  }
  report.notes.emplace_back(
      "First token and whole are from the request to its first and to its last token; per token is "
      "the mean time between two tokens of an answer.");
  return report;
}

}  // namespace dray::bench
