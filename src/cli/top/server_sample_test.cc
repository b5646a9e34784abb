#include "cli/top/server_sample.h"

#include <gtest/gtest.h>

#include <cmath>

namespace dray::cli {
namespace {

constexpr const char* kPage =
    R"(# HELP dray_start_time_seconds When the server started, in Unix time.
dray_start_time_seconds 1700000000.5
dray_processors 4
process_cpu_seconds_total 12.5
process_resident_memory_bytes 1048576
process_open_fds 9
dray_http_connections 3
dray_http_requests_in_flight 2
dray_http_cancelled_requests_total 1
dray_http_responses_total{status="1xx"} 0
dray_http_responses_total{status="2xx"} 20
dray_http_responses_total{status="4xx"} 4
dray_http_responses_total{status="5xx"} 5
dray_running_sequences{model="b",version=""} 7
dray_requests_total{model="b",version="",outcome="stop"} 11
dray_requests_total{model="b",version="",outcome="length"} 12
dray_refused_requests_total{model="b",version="",reason="queue_full"} 13
dray_running_sequences{model="a",version="2"} 8
dray_queue_time_seconds_bucket{model="a",version="2",le="0.1"} 1
dray_queue_time_seconds_bucket{model="a",version="2",le="+Inf"} 3
dray_queue_time_seconds_sum{model="a",version="2"} 9
dray_step_sequences_sum{model="a",version="2"} 30
dray_restarts_total{model="a",version="2"} 4
dray_restarting_workers{model="a",version="2"} 1
vllm:num_requests_running{model_name="a"} 8
)";

TEST(ServerSampleTest, TakesTheNumbersOfMetrics) {
  ServerSample sample;
  const Status status = ReadMetrics(kPage, sample);
  ASSERT_TRUE(status.ok()) << status.message();
  EXPECT_EQ(sample.start_seconds, 1700000000.5);
  EXPECT_EQ(sample.processors, 4);
  EXPECT_EQ(sample.cpu_seconds, 12.5);
  EXPECT_EQ(sample.resident_bytes, 1048576);
  EXPECT_EQ(sample.open_files, 9);
  EXPECT_EQ(sample.connections, 3);
  EXPECT_EQ(sample.requests_in_flight, 2);
  EXPECT_EQ(sample.cancelled_requests, 1);
  EXPECT_EQ(sample.responses, (std::array<double, 6>{0, 0, 20, 0, 4, 5}));
  ASSERT_EQ(sample.models.size(), 2U);
  const ModelEntry& first = sample.models[0];
  EXPECT_EQ(first.name, "a");
  EXPECT_EQ(first.version, "2");
  EXPECT_EQ(first.numbers->running, 8);
  EXPECT_EQ(first.numbers->step_sequences, 30);
  EXPECT_EQ(first.numbers->restarts, 4);
  EXPECT_EQ(first.numbers->restarting, 1);
  EXPECT_EQ(first.numbers->queue_time.bounds, (std::vector<double>{0.1, INFINITY}));
  EXPECT_EQ(first.numbers->queue_time.counts, (std::vector<double>{1, 3}));
  const ModelEntry& second = sample.models[1];
  EXPECT_EQ(second.name, "b");
  EXPECT_EQ(second.numbers->running, 7);
  EXPECT_EQ(second.numbers->stopped, 11);
  EXPECT_EQ(second.numbers->reached_length, 12);
  EXPECT_EQ(second.numbers->refused_queue_full, 13);
}

TEST(ServerSampleTest, APageOfAnotherServerIsRefused) {
  ServerSample sample;
  EXPECT_EQ(ReadMetrics("go_goroutines 8\n", sample).message(),
            "/metrics is not the page of a dray server: it has no dray_start_time_seconds");
  EXPECT_EQ(ReadMetrics("<html>", sample).message(),
            "/metrics is not the page of a dray server: line 1 of the metrics: a metric's name is "
            "missing");
  EXPECT_EQ(ReadModelList("[]", sample).status().message(),
            "/models is not the page of a dray server: it has no list of models");
  EXPECT_EQ(ReadModelList("no", sample).status().code(), StatusCode::kCorrupt);
  EXPECT_EQ(ReadModelPage("a", "{}", sample).message(),
            "/models/... is not the page of a dray server: it is no list of versions");
  EXPECT_EQ(ReadModelPage("a", "", sample).code(), StatusCode::kCorrupt);
}

TEST(ServerSampleTest, TakesTheStatesOfModels) {
  ServerSample sample;
  const auto names = ReadModelList(
      R"({"models": [{"modelName": "a", "version": "1", "modelUrl": "/m", "status": "READY"},
                     {"modelName": "a", "version": "2", "status": "PENDING"},
                     {"modelName": "b", "status": "FAILED"}]})",
      sample);
  ASSERT_TRUE(names.ok()) << names.status().message();
  EXPECT_EQ(*names, (std::vector<std::string>{"a", "b"}));
  EXPECT_EQ(sample.FindModel("a", "2")->status.state, "PENDING");
  EXPECT_EQ(sample.FindModel("b", "")->status.state, "FAILED");
  EXPECT_EQ(sample.FindModel("b", "1"), nullptr);

  const Status status = ReadModelPage("a", R"([
      {"workflowName": "a", "version": "1", "models": [
          {"status": "Healthy", "requestInQueue": 5, "workerGroups": [
              {"maxWorkers": 3, "workers": [{"status": "READY"}, {"status": "UNLOADING"}]}]}]},
      {"workflowName": "a", "version": "2", "models": [
          {"status": "PENDING", "workerGroups": [],
           "loadProgress": {"loadedBytes": 10, "totalBytes": 40}}]},
      {"workflowName": "a", "version": "3", "models": [{"failure": "no memory", "status": 7}]}])",
                                      sample);
  ASSERT_TRUE(status.ok()) << status.message();
  const ModelStatus& ready = sample.FindModel("a", "1")->status;
  EXPECT_EQ(ready.state, "Healthy");
  EXPECT_EQ(ready.ready_workers, 1);
  EXPECT_EQ(ready.max_workers, 3);
  EXPECT_EQ(ready.queued, 5);
  const ModelStatus& pending = sample.FindModel("a", "2")->status;
  EXPECT_EQ(pending.loaded_bytes, 10);
  EXPECT_EQ(pending.total_bytes, 40);
  const ModelStatus& failed = sample.FindModel("a", "3")->status;
  EXPECT_EQ(failed.state, "");
  EXPECT_EQ(failed.failure, "no memory");
}

}  // namespace
}  // namespace dray::cli
