#include "cli/top/server_sample.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <utility>

#include "base/parse/json.h"
#include "base/parse/parse_number.h"
#include "base/parse/prometheus_text.h"

namespace dray::cli {
namespace {

// A value of /metrics and where it goes. With a label, only the line with that value of the label counts.
template <typename Owner>
struct Field {
  std::string_view metric;
  double Owner::*target;
  std::string_view label = {};
  std::string_view label_value = {};
};

constexpr Field<ServerSample> kServerFields[] = {
    {"dray_start_time_seconds", &ServerSample::start_seconds},
    {"dray_processors", &ServerSample::processors},
    {"process_cpu_seconds_total", &ServerSample::cpu_seconds},
    {"process_resident_memory_bytes", &ServerSample::resident_bytes},
    {"process_open_fds", &ServerSample::open_files},
    {"dray_http_connections", &ServerSample::connections},
    {"dray_http_requests_in_flight", &ServerSample::requests_in_flight},
    {"dray_http_cancelled_requests_total", &ServerSample::cancelled_requests},
};

constexpr Field<ModelNumbers> kModelFields[] = {
    {"dray_running_sequences", &ModelNumbers::running},
    {"dray_waiting_sequences", &ModelNumbers::waiting},
    {"dray_cache_blocks", &ModelNumbers::cache_blocks},
    {"dray_cache_used_blocks", &ModelNumbers::cache_used_blocks},
    {"dray_preemptions_total", &ModelNumbers::preemptions},
    {"dray_restarts_total", &ModelNumbers::restarts},
    {"dray_restarting_workers", &ModelNumbers::restarting},
    {"dray_steps_total", &ModelNumbers::steps},
    {"dray_step_sequences_sum", &ModelNumbers::step_sequences},
    {"dray_prompt_tokens_total", &ModelNumbers::prompt_tokens},
    {"dray_generated_tokens_total", &ModelNumbers::generated_tokens},
    {"dray_drafted_tokens_total", &ModelNumbers::drafted_tokens},
    {"dray_accepted_tokens_total", &ModelNumbers::accepted_tokens},
    {"dray_requests_total", &ModelNumbers::stopped, "outcome", "stop"},
    {"dray_requests_total", &ModelNumbers::reached_length, "outcome", "length"},
    {"dray_requests_total", &ModelNumbers::cancelled, "outcome", "cancelled"},
    {"dray_requests_total", &ModelNumbers::timed_out, "outcome", "timed_out"},
    {"dray_requests_total", &ModelNumbers::failed, "outcome", "failed"},
    {"dray_refused_requests_total", &ModelNumbers::refused_queue_full, "reason", "queue_full"},
    {"dray_refused_requests_total", &ModelNumbers::refused_other, "reason", "other"},
};

struct HistogramField {
  std::string_view metric;  // of its lines with buckets
  BucketCounts ModelNumbers::*target;
};
constexpr HistogramField kHistograms[] = {
    {"dray_queue_time_seconds_bucket", &ModelNumbers::queue_time},
    {"dray_time_to_first_token_seconds_bucket", &ModelNumbers::time_to_first_token},
    {"dray_time_per_token_seconds_bucket", &ModelNumbers::time_per_token},
    {"dray_request_time_seconds_bucket", &ModelNumbers::request_time},
};

template <typename Owner, size_t kCount>
void SetField(const MetricLine& line, const Field<Owner> (&fields)[kCount], Owner& owner) {
  for (const Field<Owner>& field : fields) {
    if (field.metric != line.name) continue;
    const std::string* const label = line.FindLabel(field.label);
    if (field.label.empty() || (label != nullptr && *label == field.label_value)) {
      owner.*field.target = line.value;
    }
  }
}

// Buckets come in ascending order; one that does not is left out.
void AddBucket(const MetricLine& line, ModelNumbers& numbers) {
  for (const HistogramField& field : kHistograms) {
    if (field.metric != line.name) continue;
    const std::string* const text = line.FindLabel("le");
    if (text == nullptr) return;
    const auto bound = *text == "+Inf" ? std::optional<double>(INFINITY) : ParseDouble(*text);
    BucketCounts& buckets = numbers.*field.target;
    if (!bound || (!buckets.bounds.empty() && *bound <= buckets.bounds.back())) return;
    buckets.bounds.push_back(*bound);
    buckets.counts.push_back(line.value);
  }
}

void SetResponses(const MetricLine& line, ServerSample& sample) {
  const std::string* const status = line.FindLabel("status");
  if (line.name != "dray_http_responses_total" || status == nullptr || status->empty()) return;
  const auto digit = static_cast<size_t>(status->front() - '0');
  if (digit < sample.responses.size()) sample.responses[digit] = line.value;
}

void TakeLine(const MetricLine& line, ServerSample& sample) {
  const std::string* const model = line.FindLabel("model");
  const std::string* const version = line.FindLabel("version");
  if (model == nullptr || version == nullptr) {
    SetField(line, kServerFields, sample);
    SetResponses(line, sample);
    return;
  }
  ModelEntry& entry = sample.Model(*model, *version);
  if (!entry.numbers) entry.numbers.emplace();
  SetField(line, kModelFields, *entry.numbers);
  AddBucket(line, *entry.numbers);
}

// Texts and numbers of JSON objects; empty or 0 if they are not there.
std::string TextOf(const Json& json, const char* key) {
  const Json* const value = json.Find(key);
  const std::string* const text = value == nullptr ? nullptr : value->AsString();
  return text == nullptr ? "" : *text;
}

int64_t NumberOf(const Json& json, const char* key) {
  const Json* const value = json.Find(key);
  return value == nullptr ? 0 : value->AsInt64().value_or(0);
}

const Json::Array& ArrayOf(const Json& json, const char* key) {
  static const Json::Array empty;
  const Json* const value = json.Find(key);
  return value == nullptr || value->AsArray() == nullptr ? empty : *value->AsArray();
}

ModelStatus StatusOf(const Json& model) {
  ModelStatus status;
  status.state = TextOf(model, "status");
  status.queued = NumberOf(model, "requestInQueue");
  status.failure = TextOf(model, "failure");
  for (const Json& group : ArrayOf(model, "workerGroups")) {
    status.max_workers += NumberOf(group, "maxWorkers");
    for (const Json& worker : ArrayOf(group, "workers")) {
      if (TextOf(worker, "status") == "READY") ++status.ready_workers;
    }
  }
  if (const Json* const progress = model.Find("loadProgress")) {
    status.loaded_bytes = NumberOf(*progress, "loadedBytes");
    status.total_bytes = NumberOf(*progress, "totalBytes");
  }
  return status;
}

Status NoPage(std::string_view path, std::string_view why) {
  return {StatusCode::kCorrupt, fmt::format("{} is not the page of a dray server: {}", path, why)};
}

}  // namespace

ModelEntry& ServerSample::Model(std::string_view name, std::string_view version) {
  const auto place = std::lower_bound(models.begin(), models.end(), std::pair(name, version),
                                      [](const ModelEntry& entry, const auto& key) {
                                        return std::pair<std::string_view, std::string_view>(
                                                   entry.name, entry.version) < key;
                                      });
  if (place != models.end() && place->name == name && place->version == version) return *place;
  return *models.insert(place, {std::string(name), std::string(version), std::nullopt, {}});
}

const ModelEntry* ServerSample::FindModel(std::string_view name, std::string_view version) const {
  const auto entry = std::find_if(models.begin(), models.end(), [&](const ModelEntry& model) {
    return model.name == name && model.version == version;
  });
  return entry == models.end() ? nullptr : &*entry;
}

Status ReadMetrics(std::string_view page, ServerSample& sample) {
  const auto lines = ParsePrometheusText(page);
  if (!lines.ok()) return NoPage("/metrics", lines.status().message());
  for (const MetricLine& line : *lines) TakeLine(line, sample);
  if (sample.start_seconds > 0) return OkStatus();
  return NoPage("/metrics", "it has no dray_start_time_seconds");
}

Result<std::vector<std::string>> ReadModelList(std::string_view page, ServerSample& sample) {
  const auto json = Json::Parse(page);
  if (!json.ok()) return NoPage("/models", json.status().message());
  if (json->Find("models") == nullptr) return NoPage("/models", "it has no list of models");
  std::vector<std::string> names;
  for (const Json& model : ArrayOf(*json, "models")) {
    std::string name = TextOf(model, "modelName");
    sample.Model(name, TextOf(model, "version")).status.state = TextOf(model, "status");
    if (names.empty() || names.back() != name) names.push_back(std::move(name));
  }
  return names;
}

Status ReadModelPage(std::string_view name, std::string_view page, ServerSample& sample) {
  const auto json = Json::Parse(page);
  if (!json.ok()) return NoPage("/models/...", json.status().message());
  if (json->AsArray() == nullptr) return NoPage("/models/...", "it is no list of versions");
  for (const Json& entry : *json->AsArray()) {
    for (const Json& model : ArrayOf(entry, "models")) {
      sample.Model(name, TextOf(entry, "version")).status = StatusOf(model);
    }
  }
  return OkStatus();
}

}  // namespace dray::cli
