// `dray bench` as people run it: each mode on the demo model with small sizes, its outputs, its
// errors.
#include <gtest/gtest.h>

#include <csignal>
#include <filesystem>
#include <set>
#include <string>
#include <vector>

#include "base/file.h"
#include "base/parse/json.h"
#include "base/testing/source_dir.h"
#include "testing/process.h"

namespace dray::testing {
namespace {

using Words = std::vector<std::string>;

ProcessResult Bench(const Words& words) {
  Words argv = {DRAY_PROGRAM, "bench"};
  argv.insert(argv.end(), words.begin(), words.end());
  return RunProcess(argv);
}

const Words kSmall = {"--repeats", "1", "--prompt",        "32", "--input", "8",
                      "--output",  "6", "--bandwidth-mib", "8",  "--batch", "1,3"};

ProcessResult SmallBench(Words words) {
  words.insert(words.end(), kSmall.begin(), kSmall.end());
  return Bench(words);
}

TEST(BenchCommandTest, MicroRunsBesideTheLimits) {
  const ProcessResult result = SmallBench({"demo", "--dtype", "fp32,int8", "--json"});
  ASSERT_EQ(result.exit_code, 0) << result.errors;
  const Json json = *Json::Parse(result.output);
  const Json::Array& rows = *json.Find("rows")->AsArray();
  ASSERT_EQ(rows.size(), 8u);  // two variants; a prompt, a decode, two batches
  for (const Json& row : rows) {
    EXPECT_GT(row.Find("tokens_per_second")->AsDouble(), 0);
    EXPECT_GT(row.Find("floor_tokens_per_second")->AsDouble(), 0);
    EXPECT_GT(row.Find("read_gb_per_second")->AsDouble(), 0);
    EXPECT_GT(row.Find("peak_memory_bytes")->AsInt64(), row.Find("weight_bytes")->AsInt64());
    EXPECT_LE(row.Find("p50_ms")->AsDouble(), row.Find("p99_ms")->AsDouble());
  }
  EXPECT_EQ(*rows[0].Find("variant")->AsString(), "fp32");
  EXPECT_EQ(*rows[0].Find("run")->AsString(), "prompt");
  EXPECT_EQ(*rows[7].Find("variant")->AsString(), "int8");
  EXPECT_EQ(rows[7].Find("sequences")->AsInt64(), 3);
  EXPECT_EQ(rows[7].Find("samples")->AsInt64(), 5);  // the steps after the first of six tokens
  EXPECT_NE(result.errors.find("run 1 of 1"), std::string::npos) << result.errors;
}

TEST(BenchCommandTest, OneRunAloneWithItsRepeats) {
  const ProcessResult result =
      Bench({"demo", "--run", "batch", "--batch", "2", "--input", "4", "--output", "5", "--repeats",
             "3", "--bandwidth-mib", "8", "--json"});
  ASSERT_EQ(result.exit_code, 0) << result.errors;
  const Json json = *Json::Parse(result.output);
  const Json::Array& rows = *json.Find("rows")->AsArray();
  ASSERT_EQ(rows.size(), 1u);
  EXPECT_EQ(rows[0].Find("repeats_ms")->AsArray()->size(), 3u);
  EXPECT_EQ(rows[0].Find("total_s")->AsArray()->size(), 3u);
  EXPECT_EQ(rows[0].Find("samples")->AsInt64(), 3 * 4);
}

// The weights are in the ranks' processes, so there is no limit to compare with.
TEST(BenchCommandTest, RanksInProcesses) {
  const ProcessResult result =
      Bench({"demo", "--run", "decode", "--repeats", "1", "--bandwidth-mib", "8", "--json",
             "--tensor-parallel-degree", "2", "--rank-transport", "processes", "--oversubscribe",
             "true"});
  ASSERT_EQ(result.exit_code, 0) << result.errors;
  const Json json = *Json::Parse(result.output);
  const Json& row = json.Find("rows")->AsArray()->at(0);
  EXPECT_GT(row.Find("tokens_per_second")->AsDouble(), 0);
  EXPECT_GT(row.Find("weight_bytes")->AsInt64(), 0);
  EXPECT_TRUE(row.Find("floor_tokens_per_second")->is_null());
}

TEST(BenchCommandTest, TheMachineAlone) {
  const ProcessResult result =
      Bench({"--limits", "--threads", "1", "--bandwidth-mib", "8", "--json"});
  ASSERT_EQ(result.exit_code, 0) << result.errors;
  const Json json = *Json::Parse(result.output);
  const Json& row = json.Find("rows")->AsArray()->at(0);
  EXPECT_EQ(row.Find("threads")->AsInt64(), 1);
  EXPECT_GT(row.Find("read_gb_per_second")->AsDouble(), 0);
  EXPECT_GT(row.Find("f32_tops")->AsDouble(), 0);
}

TEST(BenchCommandTest, GridHasEveryCell) {
  const ProcessResult result = Bench({"demo", "--grid", "--input", "4,16", "--output", "3,5",
                                      "--batch", "1,2", "--repeats", "2", "--csv"});
  ASSERT_EQ(result.exit_code, 0) << result.errors;
  std::set<std::string> cells;
  size_t begin = result.output.find("\r\n") + 2;
  while (begin < result.output.size()) {
    const size_t end = result.output.find("\r\n", begin);
    const std::string line = result.output.substr(begin, end - begin);
    size_t comma = 0;
    for (int i = 0; i < 4; ++i) comma = line.find(',', comma + 1);
    cells.insert(line.substr(0, comma));
    begin = end + 2;
  }
  EXPECT_EQ(cells,
            (std::set<std::string>{"auto,1,4,3", "auto,1,4,5", "auto,1,16,3", "auto,1,16,5",
                                   "auto,2,4,3", "auto,2,4,5", "auto,2,16,3", "auto,2,16,5"}));
}

TEST(BenchCommandTest, BatchTableAndPage) {
  const std::string page = ::testing::TempDir() + "/bench.html";
  std::filesystem::remove(page);
  const ProcessResult result =
      SmallBench({"demo", "--batch-table", "--dtype", "bf16", "--html", page});
  ASSERT_EQ(result.exit_code, 0) << result.errors;
  for (const char* title : {"load s", "p50 s", "p90 s", "p99 s", "all s", "tok/s"}) {
    EXPECT_NE(result.output.find(title), std::string::npos) << result.output;
  }
  const auto html = ReadFile(page, 1 << 20);
  ASSERT_TRUE(html.ok()) << html.status().ToString();
  EXPECT_TRUE(html->ends_with("</html>\n"));
}

std::string Golden(const std::string& folder) { return SourceDir() / "tests/golden" / folder; }

TEST(BenchCommandTest, TextsOfAnEncoder) {
  const ProcessResult result =
      Bench({Golden("encoders/bert"), "--texts", "--dtype", "fp32,int8", "--input", "4,8",
             "--batch", "1,3", "--repeats", "2", "--bandwidth-mib", "8", "--json"});
  ASSERT_EQ(result.exit_code, 0) << result.errors;
  const Json json = *Json::Parse(result.output);
  const Json::Array& rows = *json.Find("rows")->AsArray();
  ASSERT_EQ(rows.size(), 8u);
  EXPECT_EQ(rows[7].Find("texts")->AsInt64(), 3);
  EXPECT_EQ(rows[7].Find("tokens")->AsInt64(), 24);
  for (const Json& row : rows) {
    EXPECT_GT(row.Find("tokens_per_second")->AsDouble(), 0);
    EXPECT_GT(row.Find("floor_tokens_per_second")->AsDouble(), 0);
    EXPECT_EQ(row.Find("repeats_ms")->AsArray()->size(), 2u);
  }
}

TEST(BenchCommandTest, MixedTextsOfAnEncoderOverTwoRanks) {
  const ProcessResult result =
      Bench({Golden("encoders/bert"), "--mixed-texts", "--input", "16", "--batch", "5", "--repeats",
             "1", "--bandwidth-mib", "8", "--tensor-parallel-degree", "2", "--oversubscribe",
             "true", "--json"});
  ASSERT_EQ(result.exit_code, 0) << result.errors;
  const Json json = *Json::Parse(result.output);
  const Json& row = json.Find("rows")->AsArray()->at(0);
  EXPECT_EQ(row.Find("longest")->AsInt64(), 16);
  EXPECT_EQ(row.Find("tokens")->AsInt64(), 8 + 10 + 11 + 13 + 16);
}

TEST(BenchCommandTest, BeamsOfAnEncoderDecoder) {
  const ProcessResult result =
      SmallBench({Golden("encoder_decoders/t5"), "--batch-table", "--num-beams", "3", "--json"});
  ASSERT_EQ(result.exit_code, 0) << result.errors;
  const Json json = *Json::Parse(result.output);
  const Json::Array& rows = *json.Find("rows")->AsArray();
  ASSERT_EQ(rows.size(), 2u);
  EXPECT_EQ(rows[1].Find("samples")->AsInt64(), 3);
}

TEST(BenchCommandTest, MicroRunsOfAnEncoderDecoderHaveNoLimit) {
  const ProcessResult result = SmallBench({Golden("encoder_decoders/t5"), "--json"});
  ASSERT_EQ(result.exit_code, 0) << result.errors;
  const Json json = *Json::Parse(result.output);
  for (const Json& row : *json.Find("rows")->AsArray()) {
    EXPECT_GT(row.Find("tokens_per_second")->AsDouble(), 0);
    EXPECT_TRUE(row.Find("floor_tokens_per_second")->is_null());
  }
}

TEST(BenchCommandTest, AModelFromItsConfigAlone) {
  const std::filesystem::path folder = ::testing::TempDir() + "/config_only";
  std::filesystem::create_directories(folder);
  std::filesystem::copy_file(SourceDir() / "models/demo/config.json", folder / "config.json",
                             std::filesystem::copy_options::overwrite_existing);
  const ProcessResult result =
      SmallBench({folder.string(), "--load-format", "dummy", "--dtype", "int4"});
  ASSERT_EQ(result.exit_code, 0) << result.errors;
  EXPECT_NE(result.output.find("int4: llama (dummy)"), std::string::npos) << result.output;
}

TEST(BenchCommandTest, WhatDoesNotFitIsLeftOutAndSaid) {
  const ProcessResult some =
      Bench({"demo", "--grid", "--input", "4,1000", "--output", "4,100", "--repeats", "1"});
  ASSERT_EQ(some.exit_code, 0) << some.errors;
  EXPECT_NE(some.output.find("1000 tokens in and 100 out are left out, for this model's positions "
                             "end at 1024"),
            std::string::npos)
      << some.output;
  const ProcessResult none = Bench({"demo", "--grid", "--input", "5000", "--output", "4"});
  EXPECT_EQ(none.exit_code, 1);
  EXPECT_NE(none.errors.find("positions end at 1024"), std::string::npos) << none.errors;
}

TEST(BenchCommandTest, InterruptedItPrintsWhatWasDone) {
  Process process({DRAY_PROGRAM, "bench", "demo", "--grid", "--input", "8", "--output", "8",
                   "--batch", "1,2", "--repeats", "1000000"});
  ASSERT_TRUE(process.ReadUntil("run 2 of"));
  process.Signal(SIGINT);
  EXPECT_EQ(process.Wait(), 130);
  EXPECT_NE(process.output().find("Interrupted"), std::string::npos) << process.output();
}

TEST(BenchCommandTest, ErrorsNameTheValueAndTheWayOut) {
  struct Case {
    Words words;
    std::string message;
  };
  const Case cases[] = {
      {{}, "no model was named"},
      {{"/no/such/folder"}, "there is no folder /no/such/folder"},
      {{"demo", "--dtype", "int8,int3"}, "int3"},
      {{"demo", "--input", "5,none"}, "--input: 5,none: it must be whole numbers from 1"},
      {{"demo", "--grid", "--batch-table"}, "excludes"},
      {{"demo", "--json", "--csv"}, "excludes"},
      {{"demo", "--repeats", "0"}, "--repeats"},
      {{"demo", "--run", "prompt,sleep"}, "--run: prompt,sleep: it must be some of prompt"},
      {{"--limits", "--threads", "-1"}, "--threads -1"},
      {{Golden("encoders/bert")}, "measure them by --texts"},
      {{"demo", "--texts"}, "are for encoders"},
      {{Golden("encoders/bert"), "--texts", "--input", "9999"}, "choose shorter ones by --input"},
      {{"demo", "--texts", "--grid"}, "excludes"},
  };
  for (const Case& entry : cases) {
    const ProcessResult result = Bench(entry.words);
    EXPECT_NE(result.exit_code, 0);
    EXPECT_NE(result.errors.find(entry.message), std::string::npos) << result.errors;
    EXPECT_EQ(result.output, "");
  }
  const ProcessResult page = SmallBench({"demo", "--batch-table", "--html", "/no/such/page.html"});
  EXPECT_EQ(page.exit_code, 1);
  EXPECT_NE(page.errors.find("cannot write /no/such/page.html"), std::string::npos) << page.errors;
}

TEST(BenchCommandTest, HelpNamesEveryMode) {
  const ProcessResult help = Bench({"--help"});
  EXPECT_EQ(help.exit_code, 0);
  for (const char* flag : {"--grid", "--batch-table", "--input", "--output", "--batch", "--repeats",
                           "--json", "--csv", "--html", "--load-format", "--dtype"}) {
    EXPECT_NE(help.output.find(flag), std::string::npos) << flag;
  }
}

}  // namespace
}  // namespace dray::testing
