#include "base/parse/prometheus_text.h"

#include <gtest/gtest.h>

#include <cmath>
#include <limits>

namespace dray {
namespace {

using Labels = std::vector<std::pair<std::string, std::string>>;

TEST(PrometheusTextTest, NamesLabelsAndValues) {
  const auto lines = ParsePrometheusText(
      "# HELP http_requests_total Requests, \"quoted\".\n"
      "# TYPE http_requests_total counter\n"
      "\n"
      "http_requests_total{method=\"post\",code=\"200\"} 1027 1395066363000\n"
      " \t vllm:running  { model_name = \"a\\\"b\\\\c\\nd\" , } \t-1.5e3 \n"
      "#\n"
      "empty{} 0\n"
      "last 7");
  ASSERT_TRUE(lines.ok()) << lines.status().message();
  ASSERT_EQ(lines->size(), 4U);
  const MetricLine& first = lines->at(0);
  EXPECT_EQ(first.name, "http_requests_total");
  EXPECT_EQ(first.labels, (Labels{{"method", "post"}, {"code", "200"}}));
  EXPECT_EQ(first.value, 1027);
  EXPECT_EQ(*first.FindLabel("code"), "200");
  EXPECT_EQ(first.FindLabel("Code"), nullptr);
  EXPECT_EQ(lines->at(1).name, "vllm:running");
  EXPECT_EQ(lines->at(1).labels, (Labels{{"model_name", "a\"b\\c\nd"}}));
  EXPECT_EQ(lines->at(1).value, -1500);
  EXPECT_EQ(lines->at(2).labels, Labels{});
  EXPECT_EQ(lines->at(3).value, 7);
  EXPECT_TRUE(ParsePrometheusText("")->empty());
}

TEST(PrometheusTextTest, NumbersThatAreNotFinite) {
  const auto lines = ParsePrometheusText("a +Inf\nb -Inf\nc NaN\nd{le=\"+Inf\"} +3\n");
  ASSERT_TRUE(lines.ok()) << lines.status().message();
  EXPECT_EQ(lines->at(0).value, std::numeric_limits<double>::infinity());
  EXPECT_EQ(lines->at(1).value, -std::numeric_limits<double>::infinity());
  EXPECT_TRUE(std::isnan(lines->at(2).value));
  EXPECT_EQ(lines->at(3).value, 3);
}

TEST(PrometheusTextTest, AnErrorNamesItsLine) {
  const std::pair<const char*, const char*> cases[] = {
      {"ok 1\n<html>\n", "line 2 of the metrics: a metric's name is missing"},
      {"1a 1", "line 1 of the metrics: a metric's name is missing"},
      {"a", "line 1 of the metrics: the value is no number"},
      {"a x", "line 1 of the metrics: the value is no number"},
      {"a 1e999", "line 1 of the metrics: the value is no number"},
      {"a +-1", "line 1 of the metrics: the value is no number"},
      {"a --1", "line 1 of the metrics: the value is no number"},
      {"a 1 x", "line 1 of the metrics: the time stamp is no integer"},
      {"a 1 2 3", "line 1 of the metrics: something follows the time stamp"},
      {"a{b} 1", "line 1 of the metrics: a label has no ="},
      {"a{b=c} 1", "line 1 of the metrics: a label's value has no quotes"},
      {"a{b=\"c} 1", "line 1 of the metrics: a label's value does not end"},
      {"a{b=\"\\t\"} 1",
       "line 1 of the metrics: an escape in a label's value is not \\\\, \\\" or \\n"},
      {"a{b=\"\\", "line 1 of the metrics: an escape in a label's value is not \\\\, \\\" or \\n"},
      {"a{b=\"1\" c=\"2\"} 1", "line 1 of the metrics: labels have no comma between"},
      {"a{b=\"1\",b=\"2\"} 1", "line 1 of the metrics: the label b is there twice"},
      {"a{,} 1", "line 1 of the metrics: a label's name is missing"},
      {"a{", "line 1 of the metrics: a label's name is missing"},
  };
  for (const auto& [text, message] : cases) {
    const auto lines = ParsePrometheusText(text);
    ASSERT_FALSE(lines.ok()) << text;
    EXPECT_EQ(lines.status().code(), StatusCode::kCorrupt);
    EXPECT_EQ(lines.status().message(), message);
  }
}

}  // namespace
}  // namespace dray
