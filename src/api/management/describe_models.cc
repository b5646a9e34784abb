#include "api/management/describe_models.h"

#include <fmt/format.h>

#include <chrono>
#include <ctime>
#include <iterator>
#include <map>
#include <string>
#include <utility>

namespace dray::api {
namespace {

using serving::ModelInfo;
using serving::ModelState;

std::string_view ListedStatus(ModelState state) {
  if (state == ModelState::kReady) return "READY";
  return state == ModelState::kFailed ? "FAILED" : "PENDING";
}

// "2023-01-01T00:00:00.000Z".
std::string TimeText(std::chrono::system_clock::time_point time) {
  const auto since = std::chrono::duration_cast<std::chrono::milliseconds>(time.time_since_epoch());
  const std::time_t seconds = since.count() / 1000;
  std::tm parts = {};
  ::gmtime_r(&seconds, &parts);
  return fmt::format("{:04}-{:02}-{:02}T{:02}:{:02}:{:02}.{:03}Z", parts.tm_year + 1900,
                     parts.tm_mon + 1, parts.tm_mday, parts.tm_hour, parts.tm_min, parts.tm_sec,
                     since.count() % 1000);
}

// By name; a model that is being unloaded is gone for clients.
std::map<std::string, std::vector<const ModelInfo*>> ByName(const std::vector<ModelInfo>& models) {
  std::map<std::string, std::vector<const ModelInfo*>> out;
  for (const ModelInfo& info : models) {
    if (info.state != ModelState::kUnloading) out[info.name].push_back(&info);
  }
  return out;
}

// {"nextPageToken"?, key: [...]} with what `show` makes of each version on the page.
template <typename Show>
Json ListJson(const std::vector<ModelInfo>& models, const Page& page, const char* key, Show show) {
  const auto names = ByName(models);
  const auto count = static_cast<int64_t>(names.size());
  const int64_t first = std::min(page.first, count);
  const int64_t last = page.limit < count - first ? first + page.limit : count;
  Json list = Json::MakeArray();
  auto name = std::next(names.begin(), first);
  for (int64_t i = first; i < last; ++i, ++name) {
    for (const ModelInfo* info : name->second) list.Append(show(*info));
  }
  Json out = Json::MakeObject();
  if (last < count) out.Set("nextPageToken", std::to_string(last));
  out.Set(key, std::move(list));
  return out;
}

Json WorkerGroupJson(const serving::WorkerGroupStatus& group) {
  Json workers = Json::MakeArray();
  for (const serving::WorkerStatus& worker : group.workers) {
    workers.Append(Json::MakeObject({{"id", worker.id},
                                     {"startTime", TimeText(worker.start_time)},
                                     {"status", worker.ready ? "READY" : "UNLOADING"}}));
  }
  // What DJLServing calls the processors.
  Json device = Json::MakeObject({{"deviceType", "cpu"}, {"deviceId", -1}});
  return Json::MakeObject({{"device", std::move(device)},
                           {"minWorkers", group.min_workers},
                           {"maxWorkers", group.max_workers},
                           {"workers", std::move(workers)}});
}

std::string_view HealthText(const serving::ModelRepository::Entry& entry) {
  if (entry.info.state != ModelState::kReady) return ListedStatus(entry.info.state);
  if (!entry.model->healthy()) return "FAILED";
  return entry.model->lacks_workers() ? "Unhealthy" : "Healthy";
}

Json OffloadJson(const engine::OffloadFacts& facts) {
  return Json::MakeObject({{"maxMemoryBytes", facts.limit_bytes},
                           {"memoryBytes", facts.memory_bytes},
                           {"diskBytesPerStep", facts.streamed_bytes}});
}

Json ModelJson(const serving::ModelRepository::Entry& entry) {
  const auto& [info, model] = entry;
  const serving::ModelOptions options =
      model == nullptr ? serving::ModelOptions() : model->options();
  const auto pool = model == nullptr ? options.pool : model->pool_options();
  const auto group = model == nullptr ? serving::WorkerGroupStatus() : model->workers();
  Json json =
      Json::MakeObject({{"modelName", info.name},
                        {"modelUrl", info.url},
                        {"batchSize", pool.batch_size},
                        {"maxBatchDelayMillis", pool.max_batch_delay.count()},
                        {"maxIdleSeconds", pool.max_idle_time.count()},
                        {"queueSize", options.job_queue_size},
                        {"requestInQueue", group.num_queued},
                        {"status", HealthText(entry)},
                        {"loadedAtStartup", info.origin == serving::ModelOrigin::kStartUp}});
  Json groups = Json::MakeArray();
  if (model != nullptr) groups.Append(WorkerGroupJson(group));
  json.Set("workerGroups", std::move(groups));
  const bool loads = info.state == ModelState::kPending || info.state == ModelState::kLoading;
  if (loads) {
    json.Set("loadProgress", Json::MakeObject({{"loadedBytes", info.loaded_bytes},
                                               {"totalBytes", info.total_bytes}}));
  }
  if (options.offload) json.Set("offload", OffloadJson(*options.offload));
  if (!info.failure.ok()) json.Set("failure", info.failure.message());
  return json;
}

}  // namespace

Json ListModelsJson(const std::vector<ModelInfo>& models, const Page& page) {
  return ListJson(models, page, "models", [](const ModelInfo& info) {
    Json json = Json::MakeObject({{"modelName", info.name}});
    if (!info.version.empty()) json.Set("version", info.version);
    json.Set("modelUrl", info.url);
    json.Set("status", ListedStatus(info.state));
    return json;
  });
}

Json ListWorkflowsJson(const std::vector<ModelInfo>& models, const Page& page) {
  return ListJson(models, page, "workflows", [](const ModelInfo& info) {
    Json json = Json::MakeObject({{"workflowName", info.name}});
    if (!info.version.empty()) json.Set("version", info.version);
    return json;
  });
}

Json DescribeModelsJson(const std::vector<serving::ModelRepository::Entry>& versions) {
  Json list = Json::MakeArray();
  for (const serving::ModelRepository::Entry& entry : versions) {
    Json workflow = Json::MakeObject({{"workflowName", entry.info.name}});
    if (!entry.info.version.empty()) workflow.Set("version", entry.info.version);
    Json models = Json::MakeArray();
    models.Append(ModelJson(entry));
    workflow.Set("models", std::move(models));
    list.Append(std::move(workflow));
  }
  return list;
}

}  // namespace dray::api
