#include "api/metrics/metrics.h"

#include <fmt/format.h>
#include <gtest/gtest.h>

#include <chrono>
#include <set>
#include <utility>

#include "api/testing/djl_fixture.h"
#include "base/file.h"
#include "base/testing/source_dir.h"

namespace dray::api {
namespace {

TEST(MetricsTest, LinesAreThoseOfTheFormat) {
  serving::ModelMetrics metrics;
  metrics.ended[static_cast<size_t>(serving::RequestOutcome::kStop)] = 2;
  metrics.request_time.Observe(0.002);
  metrics.request_time.Observe(3);
  ModelSample model{.name = "a\"b",
                    .version = "1",
                    .engine = {},
                    .requests = &metrics,
                    .load = {.find = 0.5, .load = 2, .total = 3}};
  model.engine.running_sequences = 3;
  model.engine.step_sizes.Add(3);
  ServerSample server;
  server.http.responses = {0, 5, 0, 1, 0};
  server.loads = {.failures = 2, .start_up = std::chrono::milliseconds(1500)};
  EXPECT_EQ(WriteMetrics(server, {}, {"ModelLoadingError_total", "StartupLatency"}),
            "# HELP StartupLatency From the server's start until its first models could serve, in "
            "microseconds; 0 before.\n"
            "# TYPE StartupLatency gauge\n"
            "StartupLatency 1500000\n"
            "# HELP ModelLoadingError_total Models that could not be loaded.\n"
            "# TYPE ModelLoadingError_total counter\n"
            "ModelLoadingError_total 2\n");
  EXPECT_EQ(WriteMetrics(server, {model}, {"dray_running_sequences", "dray_http_responses_total"}),
            "# HELP dray_http_responses_total Answers, by the first digit of their status.\n"
            "# TYPE dray_http_responses_total counter\n"
            "dray_http_responses_total{status=\"1xx\"} 0\n"
            "dray_http_responses_total{status=\"2xx\"} 5\n"
            "dray_http_responses_total{status=\"3xx\"} 0\n"
            "dray_http_responses_total{status=\"4xx\"} 1\n"
            "dray_http_responses_total{status=\"5xx\"} 0\n"
            "# HELP dray_running_sequences Sequences that are being computed.\n"
            "# TYPE dray_running_sequences gauge\n"
            "dray_running_sequences{model=\"a\\\"b\",version=\"1\"} 3\n");
  const std::string times = WriteMetrics(server, {model}, {"vllm:e2e_request_latency_seconds_sum"});
  EXPECT_NE(times.find("vllm:e2e_request_latency_seconds_count{model_name=\"a\\\"b\"} 2\n"),
            std::string::npos);
  EXPECT_NE(times.find("_bucket{model_name=\"a\\\"b\",le=\"0.005\"} 1\n"), std::string::npos);
  EXPECT_NE(times.find("_bucket{model_name=\"a\\\"b\",le=\"+Inf\"} 2\n"), std::string::npos);
  const std::string latency = WriteMetrics(server, {model}, {"RequestLatency"});
  EXPECT_NE(latency.find("le=\"5000\"} 1\n"), std::string::npos) << latency;
  const std::string steps = WriteMetrics(server, {model}, {"dray_step_sequences"});
  EXPECT_NE(steps.find("le=\"2\"} 0\n"), std::string::npos) << steps;
  EXPECT_NE(steps.find("le=\"4\"} 1\n"), std::string::npos) << steps;
  for (const auto& [name, value] : {std::pair{"DownloadModel", "500000"},
                                    {"LoadModel", "2000000"},
                                    {"RegisterWorkflow", "3000000"}}) {
    const std::string page = WriteMetrics(server, {model}, {name});
    EXPECT_NE(page.find(fmt::format("{}{{Model=\"a\\\"b\",Host=", name)), std::string::npos)
        << page;
    EXPECT_NE(page.find(fmt::format("Version=\"1\"}} {}\n", value)), std::string::npos) << page;
  }
  EXPECT_EQ(WriteMetrics(server, {model}, {"none"}), "");
}

TEST(StepSizesTest, ClassesEndAtPowersOfTwo) {
  engine::StepSizes sizes;
  for (const uint64_t size : {1, 2, 3, 4, 5, 1024, 1025, 5000}) sizes.Add(size);
  EXPECT_EQ(sizes.counts, (std::array<uint64_t, 12>{1, 1, 2, 1, 0, 0, 0, 0, 0, 0, 1, 2}));
  EXPECT_EQ(sizes.sum, 7064U);
}

std::string TableOf(const MetricGroup& group) {
  std::string table = "| name | type | meaning |\n| --- | --- | --- |\n";
  for (const Metric& metric : group.metrics) {
    table += fmt::format("| `{}` | {} | {} |\n", metric.name, ToString(metric.kind), metric.help);
  }
  return table;
}

TEST(MetricTableTest, IsWhatTheDocumentationHas) {
  const auto page = ReadFile(SourceDir() / "docs/metrics.md", 1 << 20);
  ASSERT_TRUE(page.ok()) << page.status().message();
  std::set<std::string_view> names;
  for (const MetricGroup& group : MetricTable()) {
    EXPECT_NE(page->find("\n" + TableOf(group) + "\n"), std::string::npos)
        << "docs/metrics.md lacks this table; put it there:\n"
        << TableOf(group);
    for (const Metric& metric : group.metrics) {
      EXPECT_TRUE(names.insert(metric.name).second) << metric.name;
      EXPECT_EQ(metric.name.ends_with("_total"), metric.kind == MetricKind::kCounter)
          << metric.name;
    }
  }
}

class MetricsPageTest : public DjlTest {};

TEST_F(MetricsPageTest, ShowsWhatRequestsTook) {
  serving::FakeEngine::Options engine;
  engine.next_token = [](const auto&, int, int64_t) { return 'z'; };
  AddModel("m", engine);
  const auto pages = std::make_shared<MetricsPages>(models_);
  pages->Register(router_);
  Serve();
  pages->SetServer(*server_);
  EXPECT_EQ(Invoke(R"({"inputs": "abc", "parameters": {"max_new_tokens": 5}})").status, 200);
  EXPECT_EQ(Invoke(R"({"inputs": ""})").status, 400);
  for (const char* path : {"/metrics", "/server/metrics"}) {
    const auto response = Get(path);
    EXPECT_EQ(response.status, 200);
    EXPECT_EQ(response.Header("Content-Type"), "text/plain; version=0.0.4; charset=utf-8");
    for (const char* line :
         {"dray_requests_total{model=\"m\",version=\"\",outcome=\"length\"} 1\n",
          "dray_request_generated_tokens_sum{model=\"m\",version=\"\"} 5\n",
          "vllm:request_success_total{model_name=\"m\",finished_reason=\"length\"} 1\n",
          "vllm:time_per_output_token_seconds_count{model_name=\"m\"} 4\n",
          "Response_4XX_total 1\n", "DJLServingStart_total 1\n", "\nprocess_cpu_seconds_total ",
          "\nprocess_resident_memory_bytes ", "\ndray_processors "}) {
      EXPECT_NE(response.body.find(line), std::string::npos) << line << response.body;
    }
  }
  const auto few = Get("/server/metrics?name%5B%5D=Response_4XX_total&name[]=QueueTime");
  EXPECT_EQ(few.body.rfind("# HELP Response_4XX_total ", 0), 0U) << few.body;
  EXPECT_NE(few.body.find("QueueTime_count"), std::string::npos);
  EXPECT_EQ(few.body.find("vllm:"), std::string::npos);
  EXPECT_EQ(Exchange(http::PostRequest("/server/metrics", "")).status, 405);
}

}  // namespace
}  // namespace dray::api
