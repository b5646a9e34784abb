// One report, written in each of its forms.
#include "bench/report/report.h"

#include <gtest/gtest.h>

#include <limits>
#include <string>

#include "base/parse/json.h"
#include "bench/report/html_report.h"

namespace dray::bench {
namespace {

Report Example() {
  Report report;
  report.title = "Latency <grid>";
  report.facts = {{"machine", "a & b"}};
  report.notes = {"a note"};
  report.columns = {{"variant", "variant"},
                    {"tokens", "tokens"},
                    {"p50_s", "p50 s", 2},
                    {"bytes", "bytes", 0, Column::Place::kDataOnly},
                    {"repeats", "repeats", 1, Column::Place::kDataOnly}};
  report.rows = {
      {std::string("bf16, \"fast\""), int64_t{50}, 0.125, int64_t{7}, std::monostate()},
      {std::string("int8"), int64_t{1000}, 12.5, int64_t{8}, std::vector<double>{0.5, 2}}};
  return report;
}

TEST(ReportTest, TextTableAlignsAndLeavesOutWhatIsForPrograms) {
  const std::string text = ToTextTable(Example());
  EXPECT_NE(text.find("Latency <grid>\n  machine: a & b\n\n"
                      "variant       tokens  p50 s\n"
                      "bf16, \"fast\"      50   0.12\n"
                      "int8            1000  12.50\n"
                      "\na note\n"),
            std::string::npos)
      << text;
}

TEST(ReportTest, TextSaysWhatIsMissing) {
  Report report = Example();
  report.rows.clear();
  report.completeness = Report::Completeness::kInterrupted;
  const std::string text = ToTextTable(report);
  EXPECT_NE(text.find("no measurement was finished"), std::string::npos) << text;
  EXPECT_NE(text.find("Interrupted"), std::string::npos) << text;
}

TEST(ReportTest, JsonHasEveryColumnByItsKey) {
  const auto json = Json::Parse(ToJson(Example()));
  ASSERT_TRUE(json.ok()) << json.status().ToString();
  EXPECT_EQ(*json->Find("title")->AsString(), "Latency <grid>");
  EXPECT_EQ(json->Find("complete")->AsBool(), true);
  EXPECT_EQ(*json->Find("facts")->Find("machine")->AsString(), "a & b");
  const Json::Array& rows = *json->Find("rows")->AsArray();
  ASSERT_EQ(rows.size(), 2u);
  EXPECT_EQ(*rows[0].Find("variant")->AsString(), "bf16, \"fast\"");
  EXPECT_EQ(rows[0].Find("tokens")->AsInt64(), 50);
  EXPECT_EQ(rows[0].Find("p50_s")->AsDouble(), 0.125);
  EXPECT_EQ(rows[1].Find("bytes")->AsInt64(), 8);
  EXPECT_TRUE(rows[0].Find("repeats")->is_null());
  EXPECT_EQ(rows[1].Find("repeats")->Dump(), "[0.5,2]");
}

TEST(ReportTest, CsvQuotesWhatItMust) {
  EXPECT_EQ(ToCsv(Example()),
            "variant,tokens,p50_s,bytes,repeats\r\n"
            "\"bf16, \"\"fast\"\"\",50,0.125,7,\r\n"
            "int8,1000,12.5,8,0.5;2\r\n");
}

// The number of times that `text` contains `part`.
int Count(const std::string& text, const std::string& part) {
  int count = 0;
  for (size_t at = text.find(part); at != std::string::npos; at = text.find(part, at + 1)) ++count;
  return count;
}

TEST(ReportTest, PageStandsAloneAndEscapes) {
  Report report = Example();
  report.bars_title = "Achieved";
  report.bars = {{"int8 <prompt>", 0.5, "1 of 2 tok/s"}, {"small", 1.5, "in the cache"}};
  HeatMap map;
  map.title = "latency";
  map.rows = {"50", "200"};
  map.columns = {"50"};
  map.values = {{1.25}, {std::numeric_limits<double>::quiet_NaN()}};
  report.heat_maps = {map};
  report.lines = {{"tok/s", "clients", "tok/s", {{"dray", {{1, 10}, {4, 35}}}}}};
  const std::string html = ToHtml(report);
  EXPECT_TRUE(html.starts_with("<!doctype html>"));
  EXPECT_NE(html.find("<title>Latency &lt;grid&gt;</title>"), std::string::npos);
  EXPECT_NE(html.find("int8 &lt;prompt&gt;"), std::string::npos);
  EXPECT_NE(html.find("width=\"50.00\""), std::string::npos);   // half of its limit
  EXPECT_NE(html.find("width=\"100.00\""), std::string::npos);  // a bar never goes beyond the end
  EXPECT_NE(html.find("1.25</td>"), std::string::npos);
  EXPECT_NE(html.find(">-</td>"), std::string::npos);
  EXPECT_EQ(Count(html, "<polyline"), 1);
  EXPECT_EQ(Count(html, "<circle"), 2);
  EXPECT_EQ(Count(html, "<tr>"), Count(html, "</tr>"));
  EXPECT_EQ(Count(html, "<section"), Count(html, "</section>"));
  for (const char* outside : {"http://", "https://", "<script", "src=", "@import", "url("}) {
    EXPECT_EQ(html.find(outside), std::string::npos) << outside;
  }
}

}  // namespace
}  // namespace dray::bench
