// The one table of metrics: what each is called, what it means, and where its value is. The pages that
// Prometheus reads and docs/metrics.md are made from it.
#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <variant>
#include <vector>

#include "base/machine/process_usage.h"
#include "base/metrics/histogram.h"
#include "engine/engine.h"
#include "http/server.h"
#include "serving/metrics/model_metrics.h"
#include "serving/repository.h"

namespace dray::api {

// What the metrics of the server are computed from.
struct ServerSample {
  http::ServerStats http;
  // Unix time.
  double start_seconds = 0;
  ProcessUsage process;
  // Processors that the process may use.
  int processors = 1;
  uint64_t refused_queue_full = 0;
  serving::ModelRepository::LoadStats loads;
};

// What the metrics of one model are computed from.
struct ModelSample {
  std::string name;
  std::string version;
  engine::EngineStats engine;
  const serving::ModelMetrics* requests = nullptr;
  serving::LoadTimes load;
};

// A histogram whose values are multiplied, for another unit.
struct ScaledHistogram {
  Histogram::Snapshot snapshot;
  double factor = 1;
};

// Several values that differ in one label.
struct LabelledValues {
  std::string_view label;
  std::vector<std::pair<std::string_view, double>> values;
};

using ServerValue = double (*)(const ServerSample&);
using ServerValues = LabelledValues (*)(const ServerSample&);
using ModelValue = double (*)(const ModelSample&);
using ModelValues = LabelledValues (*)(const ModelSample&);
using ModelHistogram = ScaledHistogram (*)(const ModelSample&);

enum class MetricKind { kCounter, kGauge, kHistogram };
// Whose name it is, which decides on the names of the labels.
enum class MetricDialect { kDray, kVllm, kDjl };

struct Metric {
  std::string_view name;
  MetricKind kind;
  std::string_view help;
  std::variant<ServerValue, ServerValues, ModelValue, ModelValues, ModelHistogram> value;
};

struct MetricGroup {
  MetricDialect dialect;
  std::span<const Metric> metrics;
};

std::span<const MetricGroup> MetricTable();
// "counter", "gauge" or "histogram".
std::string_view ToString(MetricKind kind);

}  // namespace dray::api
