// The numbers of a server at one moment, as its pages /metrics and /models show them.
#pragma once

#include <array>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/status.h"

namespace dray::cli {

// A histogram's values since the model was loaded. Both vectors have one entry for each bucket.
struct BucketCounts {
  // Upper bounds, ascending; the last one is infinite.
  std::vector<double> bounds;
  // [i]: how many values were at most bounds[i].
  std::vector<double> counts;
};

// What /metrics has of one model. Counters run from the time at which the model was loaded.
struct ModelNumbers {
  // Sequences.
  double running = 0;
  double waiting = 0;
  double cache_blocks = 0;
  double cache_used_blocks = 0;
  double preemptions = 0;
  // Groups of ranks that were started again, and workers that wait for such a start.
  double restarts = 0;
  double restarting = 0;
  double steps = 0;
  // Of all steps together.
  double step_sequences = 0;
  double prompt_tokens = 0;
  double generated_tokens = 0;
  double drafted_tokens = 0;
  double accepted_tokens = 0;
  // Requests, by how they ended.
  double stopped = 0;
  double reached_length = 0;
  double cancelled = 0;
  double timed_out = 0;
  double failed = 0;
  double refused_queue_full = 0;
  double refused_other = 0;
  // In seconds.
  BucketCounts queue_time = {};
  BucketCounts time_to_first_token = {};
  BucketCounts time_per_token = {};
  BucketCounts request_time = {};
};

// What /models and /models/NAME have of one model.
struct ModelStatus {
  // READY, PENDING or FAILED, or the health that the description tells: Healthy, Unhealthy or FAILED.
  std::string state = {};
  int64_t ready_workers = 0;
  int64_t max_workers = 0;
  // Requests before the workers.
  int64_t queued = 0;
  // While the model is being loaded.
  int64_t loaded_bytes = 0;
  int64_t total_bytes = 0;
  // Why it could not be loaded; "": it could.
  std::string failure = {};
};

struct ModelEntry {
  std::string name;
  std::string version;  // "": the model has none
  std::optional<ModelNumbers> numbers;
  ModelStatus status;
};

struct ServerSample {
  // When the sample was taken, in seconds of a clock that only goes forward.
  double taken_seconds = 0;
  // Unix time.
  double start_seconds = 0;
  double processors = 0;
  double cpu_seconds = 0;
  double resident_bytes = 0;
  double open_files = 0;
  double connections = 0;
  double requests_in_flight = 0;
  double cancelled_requests = 0;
  // [i]: answers with a status of i00 to i99.
  std::array<double, 6> responses{};
  // By name, then by version.
  std::vector<ModelEntry> models;

  // The entry of that model, which is added if there is none.
  ModelEntry& Model(std::string_view name, std::string_view version);
  const ModelEntry* FindModel(std::string_view name, std::string_view version) const;
};

// Fills the sample from the page /metrics. kCorrupt if that is not the page of a dray server.
Status ReadMetrics(std::string_view page, ServerSample& sample);
// Fills the states of models from the page /models, and returns the models' names, each once. kCorrupt if it is
// not such a page.
Result<std::vector<std::string>> ReadModelList(std::string_view page, ServerSample& sample);
// Fills the status of the model's versions from the page /models/NAME. kCorrupt if it is not such a page.
Status ReadModelPage(std::string_view name, std::string_view page, ServerSample& sample);

}  // namespace dray::cli
