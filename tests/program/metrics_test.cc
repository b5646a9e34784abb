// The metrics of a running server and the files under deploy/, judged by promtool where it is installed
// (tools/packages_judges.txt).
#include <fmt/format.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <chrono>
#include <csignal>
#include <filesystem>
#include <optional>
#include <string>
#include <thread>
#include <vector>

#include "api/metrics/metric_table.h"
#include "base/file.h"
#include "base/parse/json.h"
#include "base/testing/source_dir.h"
#include "testing/demo_process.h"
#include "testing/http_client.h"
#include "testing/process.h"

namespace dray::testing {
namespace {

namespace fs = std::filesystem;

constexpr const char* kPromtool = "/usr/bin/promtool";
constexpr const char* kGenerate =
    R"({"inputs": "The cat", "parameters": {"max_new_tokens": 4, "ignore_eos_token": true}})";

bool HasPromtool() { return fs::exists(kPromtool); }

TEST(MetricsProgramTest, CountWhatARealEngineDid) {
  DemoProcess server({});
  for (int i = 0; i < 3; ++i) {
    const auto answer = Post(server.port(), "/invocations", kGenerate);
    ASSERT_TRUE(answer);
    ASSERT_EQ(answer->status, 200) << answer->body;
  }
  // The engine publishes a step's numbers after its answers.
  std::optional<HttpResponse> page;
  for (int i = 0; i < 1000; ++i) {
    page = Get(server.port(), "/metrics");
    ASSERT_TRUE(page);
    if (page->body.find("dray_generated_tokens_total{model=\"demo\",version=\"\"} 12\n") !=
        std::string::npos) {
      break;
    }
    std::this_thread::sleep_for(std::chrono::milliseconds(5));
  }
  for (const char* line :
       {"dray_generated_tokens_total{model=\"demo\",version=\"\"} 12\n",
        "dray_requests_total{model=\"demo\",version=\"\",outcome=\"length\"} 3\n",
        "dray_queue_time_seconds_count{model=\"demo\",version=\"\"} 3\n",
        "dray_time_to_first_token_seconds_count{model=\"demo\",version=\"\"} 3\n",
        "dray_time_per_token_seconds_count{model=\"demo\",version=\"\"} 9\n",
        "dray_running_sequences{"}) {
    EXPECT_NE(page->body.find(line), std::string::npos) << line << page->body;
  }
  EXPECT_EQ(server.Stop(), 0);
}

TEST(LogProgramTest, TheAccessLogCarriesTheTraceInJson) {
  DemoProcess server({"--access-log", "true", "--log-format", "json"});
  const ProcessResult asked =
      RunProcess({"/usr/bin/curl", "-sS", "-H", "x-request-id: r-1", "-H",
                  "traceparent: 00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01", "-H",
                  "Content-Type: application/json", "-d", kGenerate,
                  fmt::format("http://127.0.0.1:{}/invocations?a=1", server.port())});
  EXPECT_EQ(asked.exit_code, 0) << asked.errors;
  EXPECT_EQ(server.Stop(), 0);
  const std::string& output = server.output();
  const size_t id = output.find("\"request_id\":\"r-1\"");
  ASSERT_NE(id, std::string::npos) << output;
  const size_t begin = output.rfind('\n', id) + 1;
  const auto line = Json::Parse(output.substr(begin, output.find('\n', id) - begin));
  ASSERT_TRUE(line.ok()) << output;
  const auto text = [&](const char* key) { return *line->Find(key)->AsString(); };
  EXPECT_EQ(text("level"), "info");
  EXPECT_EQ(text("message").rfind("127.0.0.1 \"POST /invocations?a=1 HTTP/1.1\" 200 ", 0), 0U);
  EXPECT_EQ(text("target"), "/invocations?a=1");
  EXPECT_EQ(text("trace_id"), "4bf92f3577b34da6a3ce929d0e0e4736");
  EXPECT_GT(*line->Find("model_seconds")->AsDouble(), 0);
  EXPECT_GE(*line->Find("seconds")->AsDouble(), *line->Find("model_seconds")->AsDouble());
}

TEST(MetricsProgramTest, PromtoolFindsNoFaultWithDraysNames) {
  if (!HasPromtool()) GTEST_SKIP() << kPromtool << " is not installed";
  DemoProcess server({});
  ASSERT_TRUE(Post(server.port(), "/invocations", kGenerate));
  std::string path = "/metrics?";
  for (const api::MetricGroup& group : api::MetricTable()) {
    if (group.dialect != api::MetricDialect::kDray) continue;
    for (const api::Metric& metric : group.metrics) path += fmt::format("name[]={}&", metric.name);
  }
  const auto page = Get(server.port(), path);
  ASSERT_TRUE(page);
  EXPECT_NE(page->body.find("dray_step_sequences_bucket"), std::string::npos);
  const ProcessResult verdict = RunProcess({kPromtool, "check", "metrics"}, page->body);
  EXPECT_EQ(verdict.exit_code, 0) << verdict.output << verdict.errors;
  EXPECT_EQ(verdict.errors, "");
}

TEST(MetricsProgramTest, PromtoolTakesTheAlertRules) {
  if (!HasPromtool()) GTEST_SKIP() << kPromtool << " is not installed";
  const std::string folder = (SourceDir() / "deploy/prometheus").string();
  ProcessResult verdict = RunProcess({kPromtool, "check", "rules", folder + "/alerts.yml"});
  EXPECT_EQ(verdict.exit_code, 0) << verdict.output << verdict.errors;
  verdict = RunProcess({kPromtool, "test", "rules", folder + "/alerts_test.yml"});
  EXPECT_EQ(verdict.exit_code, 0) << verdict.output << verdict.errors;
}

// Every name of dray's in a file under deploy/ is a metric, or a line of a histogram.
void ExpectKnownNames(const std::string& text) {
  constexpr std::string_view kPrefix = "dray_";
  for (size_t at = 0; (at = text.find(kPrefix, at)) != std::string::npos;) {
    const size_t end = text.find_first_not_of("abcdefghijklmnopqrstuvwxyz_", at);
    const std::string_view name = std::string_view(text).substr(at, end - at);
    bool known = false;
    for (const api::MetricGroup& group : api::MetricTable()) {
      for (const api::Metric& metric : group.metrics) {
        if (!name.starts_with(metric.name)) continue;
        const std::string_view suffix = name.substr(metric.name.size());
        const bool is_line = suffix == "_bucket" || suffix == "_sum" || suffix == "_count";
        known |= suffix.empty() || (is_line && metric.kind == api::MetricKind::kHistogram);
      }
    }
    EXPECT_TRUE(known) << name;
    at = end;
  }
}

TEST(MetricsProgramTest, DashboardAndRulesNameMetricsThatExist) {
  const auto dashboard = ReadFile(SourceDir() / "deploy/grafana/dray.json", 1 << 20);
  const auto rules = ReadFile(SourceDir() / "deploy/prometheus/alerts.yml", 1 << 20);
  ASSERT_TRUE(dashboard.ok() && rules.ok());
  EXPECT_TRUE(Json::Parse(*dashboard).ok());
  ExpectKnownNames(*dashboard);
  ExpectKnownNames(*rules);
}

}  // namespace
}  // namespace dray::testing
