#include "api/metrics/metrics.h"

#include <prometheus/metric_family.h>
#include <prometheus/text_serializer.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <sstream>
#include <utility>

#include "base/machine/cpu_info.h"

namespace dray::api {
namespace {

using prometheus::ClientMetric;
using prometheus::MetricFamily;

prometheus::MetricType TypeOf(MetricKind kind) {
  switch (kind) {
    case MetricKind::kCounter:
      return prometheus::MetricType::Counter;
    case MetricKind::kGauge:
      return prometheus::MetricType::Gauge;
    case MetricKind::kHistogram:
      break;
  }
  return prometheus::MetricType::Histogram;
}

std::string HostName() {
  std::array<char, 256> name{};
  return ::gethostname(name.data(), name.size() - 1) == 0 ? name.data() : "unknown";
}

std::vector<ClientMetric::Label> LabelsOf(MetricDialect dialect, const ModelSample& model) {
  switch (dialect) {
    case MetricDialect::kDray:
      return {{"model", model.name}, {"version", model.version}};
    case MetricDialect::kVllm:
      return {{"model_name", model.name}};
    case MetricDialect::kDjl:
      break;
  }
  return {{"Model", model.name}, {"Host", HostName()}, {"Version", model.version}};
}

// Adds the samples of one metric to its family.
class FamilyWriter {
 public:
  FamilyWriter(const Metric& metric, MetricDialect dialect)
      : kind_(metric.kind), dialect_(dialect) {
    family_.name = metric.name;
    family_.help = metric.help;
    family_.type = TypeOf(metric.kind);
  }

  void Add(const ServerSample& server, ServerValue value) { AddValue({}, value(server)); }
  void Add(const ServerSample& server, ServerValues values) { AddValues({}, values(server)); }
  void Add(const ModelSample& model, ModelValue value) {
    AddValue(LabelsOf(dialect_, model), value(model));
  }
  void Add(const ModelSample& model, ModelValues values) {
    AddValues(LabelsOf(dialect_, model), values(model));
  }
  void Add(const ModelSample& model, ModelHistogram histogram) {
    const ScaledHistogram scaled = histogram(model);
    ClientMetric metric;
    metric.label = LabelsOf(dialect_, model);
    uint64_t count = 0;
    for (size_t i = 0; i < scaled.snapshot.counts.size(); ++i) {
      count += scaled.snapshot.counts[i];
      // The serializer adds the last bucket, which has no bound.
      if (i == scaled.snapshot.bounds.size()) break;
      metric.histogram.bucket.push_back(
          {.cumulative_count = count, .upper_bound = scaled.snapshot.bounds[i] * scaled.factor});
    }
    metric.histogram.sample_count = count;
    metric.histogram.sample_sum = scaled.snapshot.sum * scaled.factor;
    family_.metric.push_back(std::move(metric));
  }

  MetricFamily Take() { return std::move(family_); }

 private:
  void AddValue(std::vector<ClientMetric::Label> labels, double value) {
    ClientMetric metric;
    metric.label = std::move(labels);
    (kind_ == MetricKind::kCounter ? metric.counter.value : metric.gauge.value) = value;
    family_.metric.push_back(std::move(metric));
  }
  void AddValues(const std::vector<ClientMetric::Label>& labels, const LabelledValues& values) {
    for (const auto& [name, value] : values.values) {
      auto with = labels;
      with.push_back({std::string(values.label), std::string(name)});
      AddValue(std::move(with), value);
    }
  }

  const MetricKind kind_;
  const MetricDialect dialect_;
  MetricFamily family_;
};

bool IsAskedFor(const Metric& metric, const std::vector<std::string>& names) {
  if (names.empty()) return true;
  return std::any_of(names.begin(), names.end(), [&](std::string_view name) {
    if (!name.starts_with(metric.name)) return false;
    const std::string_view suffix = name.substr(metric.name.size());
    const bool is_line = suffix == "_bucket" || suffix == "_sum" || suffix == "_count";
    return suffix.empty() || (is_line && metric.kind == MetricKind::kHistogram);
  });
}

MetricFamily MakeFamily(const Metric& metric, MetricDialect dialect, const ServerSample& server,
                        const std::vector<ModelSample>& models) {
  FamilyWriter writer(metric, dialect);
  std::visit(
      [&](auto value) {
        using Value = decltype(value);
        if constexpr (std::is_same_v<Value, ServerValue> || std::is_same_v<Value, ServerValues>) {
          writer.Add(server, value);
        } else {
          for (const ModelSample& model : models) writer.Add(model, value);
        }
      },
      metric.value);
  return writer.Take();
}

}  // namespace

std::string WriteMetrics(const ServerSample& server, const std::vector<ModelSample>& models,
                         const std::vector<std::string>& names) {
  std::vector<MetricFamily> families;
  for (const MetricGroup& group : MetricTable()) {
    for (const Metric& metric : group.metrics) {
      if (!IsAskedFor(metric, names)) continue;
      families.push_back(MakeFamily(metric, group.dialect, server, models));
      if (families.back().metric.empty()) families.pop_back();
    }
  }
  std::ostringstream out;
  prometheus::TextSerializer().Serialize(out, families);
  return out.str();
}

MetricsPages::MetricsPages(const serving::ModelRepository& models)
    : models_(models), start_(std::chrono::system_clock::now()) {}

void MetricsPages::Register(http::Router& router) {
  for (const char* path : {"/metrics", "/server/metrics"}) {
    router.Add(
        "GET", path,
        [self = shared_from_this()](const http::Request& request,
                                    const http::ResponderPtr& responder) {
          self->Answer(request, responder);
        },
        http::RouteKind::kManagement);
  }
}

void MetricsPages::Answer(const http::Request& request, const http::ResponderPtr& responder) const {
  ServerSample server;
  server.start_seconds = std::chrono::duration<double>(start_.time_since_epoch()).count();
  server.process = MeasureProcess();
  server.processors = UsableCpuCount();
  if (const http::Server* const running = server_) server.http = running->stats();
  server.loads = models_.load_stats();
  // Holds the models whose numbers are read.
  std::vector<std::shared_ptr<serving::ServedModel>> served;
  std::vector<ModelSample> models;
  for (const serving::ModelInfo& info : models_.List()) {
    for (const auto& entry : models_.Versions(info.name, info.version)) {
      if (entry.model == nullptr || entry.info.version != info.version) continue;
      models.push_back({.name = info.name,
                        .version = info.version,
                        .engine = entry.model->stats(),
                        .requests = &entry.model->metrics(),
                        .load = entry.model->load_times()});
      server.refused_queue_full += entry.model->metrics().refused_queue_full;
      served.push_back(entry.model);
    }
  }
  std::vector<std::string> names;
  for (const auto& [name, value] : request.query) {
    if (name == "name[]") names.push_back(value);
  }
  http::Response response;
  response.head.headers.Add("Content-Type", "text/plain; version=0.0.4; charset=utf-8");
  response.body = WriteMetrics(server, models, names);
  responder->Send(std::move(response));
}

}  // namespace dray::api
