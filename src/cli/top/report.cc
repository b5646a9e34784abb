#include "cli/top/report.h"

#include <fmt/format.h>

#include <optional>
#include <string_view>

namespace dray::cli {
namespace {

class ReportWriter {
 public:
  void AddHeading(std::string_view what, std::string_view name) {
    text_ += fmt::format("{} {}\n", what, name);
  }
  void Add(std::string_view key, std::string_view value) {
    text_ += fmt::format("  {} {}\n", key, value);
  }
  void AddCount(std::string_view key, double value) { Add(key, fmt::format("{:.0f}", value)); }
  void AddNumber(std::string_view key, double value) { Add(key, fmt::format("{:.6g}", value)); }
  void AddLatency(const std::string& key, const Latency& latency) {
    AddQuantile(key + "_p50", latency.p50);
    AddQuantile(key + "_p95", latency.p95);
  }
  std::string Take() { return std::move(text_); }

 private:
  void AddQuantile(std::string_view key, const std::optional<Quantile>& quantile) {
    if (!quantile) return Add(key, "-");
    Add(key, fmt::format("{}{:.6g}", quantile->is_beyond ? ">" : "", quantile->seconds));
  }

  std::string text_;
};

void AddServer(const ServerView& view, const std::string& url, ReportWriter& out) {
  const ServerSample& now = view.now;
  out.AddHeading("server", url);
  out.AddNumber("up_seconds", view.up_seconds);
  out.AddCount("processors", now.processors);
  out.AddNumber("busy_processors", view.busy_processors);
  out.AddCount("resident_bytes", now.resident_bytes);
  out.AddCount("open_files", now.open_files);
  out.AddCount("connections", now.connections);
  out.AddCount("requests_in_flight", now.requests_in_flight);
  for (const size_t digit : {2, 4, 5}) {
    out.AddCount(fmt::format("answers_{}xx", digit), now.responses.at(digit));
    out.AddNumber(fmt::format("answers_{}xx_rate", digit), view.response_rates.at(digit));
  }
  out.AddCount("cancelled_requests", now.cancelled_requests);
}

void AddNumbers(const ModelNumbers& numbers, ReportWriter& out) {
  const std::pair<const char*, double> counts[] = {
      {"running", numbers.running},
      {"waiting", numbers.waiting},
      {"cache_blocks", numbers.cache_blocks},
      {"cache_used_blocks", numbers.cache_used_blocks},
      {"preemptions", numbers.preemptions},
      {"restarts", numbers.restarts},
      {"restarting", numbers.restarting},
      {"steps", numbers.steps},
      {"prompt_tokens", numbers.prompt_tokens},
      {"generated_tokens", numbers.generated_tokens},
      {"drafted_tokens", numbers.drafted_tokens},
      {"accepted_tokens", numbers.accepted_tokens},
      {"stopped", numbers.stopped},
      {"reached_length", numbers.reached_length},
      {"cancelled", numbers.cancelled},
      {"timed_out", numbers.timed_out},
      {"failed", numbers.failed},
      {"refused_queue_full", numbers.refused_queue_full},
      {"refused_other", numbers.refused_other},
  };
  for (const auto& [key, value] : counts) out.AddCount(key, value);
}

void AddModel(const ModelView& model, ReportWriter& out) {
  out.AddHeading("model", model.version.empty() ? model.name : model.name + " " + model.version);
  const ModelStatus& status = model.status;
  out.Add("state", status.state.empty() ? "-" : status.state);
  if (!status.failure.empty()) out.Add("failure", status.failure);
  out.Add("ready_workers", std::to_string(status.ready_workers));
  out.Add("max_workers", std::to_string(status.max_workers));
  out.Add("queued", std::to_string(status.queued));
  if (status.total_bytes > 0) {
    out.Add("loaded_bytes", std::to_string(status.loaded_bytes));
    out.Add("total_bytes", std::to_string(status.total_bytes));
  }
  if (!model.numbers) return;
  AddNumbers(*model.numbers, out);
  out.AddNumber("prompt_token_rate", model.prompt_token_rate);
  out.AddNumber("generated_token_rate", model.generated_token_rate);
  out.AddNumber("batch", model.batch);
  out.AddLatency("queue_time", model.queue_time);
  out.AddLatency("time_to_first_token", model.time_to_first_token);
  out.AddLatency("time_per_token", model.time_per_token);
  out.AddLatency("request_time", model.request_time);
}

}  // namespace

std::string WriteReport(const ServerView& view, const std::string& url) {
  ReportWriter out;
  AddServer(view, url, out);
  for (const ModelView& model : view.models) AddModel(model, out);
  return out.Take();
}

}  // namespace dray::cli
