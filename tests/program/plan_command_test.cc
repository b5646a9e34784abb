// `dray plan` as people run it: outputs, exit codes, errors.
#include <gtest/gtest.h>

#include <array>
#include <cstdint>
#include <filesystem>
#include <fstream>
#include <string>
#include <vector>

#include "base/file.h"
#include "base/parse/json.h"
#include "testing/process.h"

namespace dray::testing {
namespace {

namespace fs = std::filesystem;
using Words = std::vector<std::string>;

ProcessResult Plan(const Words& words) {
  Words argv = {DRAY_PROGRAM, "plan"};
  argv.insert(argv.end(), words.begin(), words.end());
  return RunProcess(argv);
}

Json PlanJson(Words words) {
  words.emplace_back("--json");
  const ProcessResult result = Plan(words);
  EXPECT_EQ(result.errors, "");
  auto json = Json::Parse(result.output);
  EXPECT_TRUE(json.ok()) << result.output;
  return json.ok() ? *std::move(json) : Json();
}

TEST(PlanCommandTest, AnswersForShapesOnDevicesByFigures) {
  const ProcessResult result =
      Plan({"bloom-176b", "--devices", "8x40GiB@1.5TB/s,300TFLOPs,link=600GB/s", "--dtype", "int8",
            "--batch", "4"});
  EXPECT_EQ(result.exit_code, 0) << result.errors;
  EXPECT_NE(result.output.find("176,247,271,424 parameters"), std::string::npos);
  EXPECT_NE(result.output.find("* 8 is best"), std::string::npos) << result.output;
}

TEST(PlanCommandTest, TheExitCodeSaysThatNothingFits) {
  const ProcessResult result = Plan({"opt-66b", "--devices", "p3.2xlarge"});
  EXPECT_EQ(result.exit_code, 2);
  EXPECT_NE(result.output.find("nothing fits"), std::string::npos) << result.output;
}

TEST(PlanCommandTest, ThisMachineIsMeasured) {
  const Json json = PlanJson({"demo"});
  const Json& host = json.Find("hosts")->AsArray()->front();
  EXPECT_EQ(*host.Find("source")->AsString(), "measured");
  EXPECT_GT(*host.Find("bandwidth")->AsDouble(), 0);
  EXPECT_GT(*host.Find("memory_bytes")->AsDouble(), 0);
  const Json& row = json.Find("rows")->AsArray()->front();
  EXPECT_TRUE(*row.Find("fits")->AsBool());
  EXPECT_GT(*row.Find("figures")->Find("decode")->Find("seconds")->AsDouble(), 0);
}

TEST(PlanCommandTest, ConfigurationsFoldersAndFiles) {
  const fs::path folder = fs::path(::testing::TempDir()) / "plan-shape";
  fs::create_directories(folder);
  fs::copy_file("bench/shapes/llama-7b/config.json", folder / "config.json",
                fs::copy_options::overwrite_existing);
  for (const std::string& model : {folder.string(), (folder / "config.json").string()}) {
    const Json json = PlanJson({model, "--devices", "2xa10g"});
    EXPECT_EQ(*json.Find("model")->Find("parameters")->AsInt64(), 6'738'415'616) << model;
    EXPECT_EQ(*json.Find("model")->Find("name")->AsString(), "plan-shape");
  }
  const Json gguf = PlanJson({"tests/golden/gguf/llama-gqa.gguf", "--devices", "1xa10g", "--prompt",
                              "8", "--new-tokens", "8"});
  EXPECT_EQ(*gguf.Find("model")->Find("name")->AsString(), "llama-gqa");
}

TEST(PlanCommandTest, PagesAndPictures) {
  const fs::path folder(::testing::TempDir());
  for (const std::string& file :
       {(folder / "plan.html").string(), (folder / "plan.svg").string()}) {
    const ProcessResult result = Plan({"opt-30b", "--devices", "4xa10g", "--html", file});
    ASSERT_EQ(result.exit_code, 0) << result.errors;
    const std::string page = *ReadFile(file, 1 << 20);
    EXPECT_EQ(page.starts_with("<svg"), file.ends_with(".svg"));
    EXPECT_NE(page.find("</svg>"), std::string::npos);
  }
  const ProcessResult result =
      Plan({"opt-30b", "--devices", "4xa10g", "--html", "/no/such/folder/plan.html"});
  EXPECT_EQ(result.exit_code, 1);
  EXPECT_NE(result.errors.find("/no/such/folder/plan.html"), std::string::npos);
}

TEST(PlanCommandTest, FlagsChangeThePlan) {
  const Words model = {"llama-3-8b", "--devices", "4xa10g", "--tensor-parallel-degree", "2"};
  const auto figures = [&](const Words& more) {
    Words words = model;
    words.insert(words.end(), more.begin(), more.end());
    const Json json = PlanJson(words);
    EXPECT_EQ(json.Find("rows")->AsArray()->size(), 2u);  // one stage, and two
    return *json.Find("rows")->AsArray()->front().Find("figures");
  };
  const auto number = [](const Json& json, const char* part, const char* key) {
    return *json.Find(part)->Find(key)->AsDouble();
  };
  const Json plain = figures({});
  EXPECT_LT(number(figures({"--quantize", "int4"}), "memory", "weights"),
            0.3 * number(plain, "memory", "weights"));
  EXPECT_EQ(number(figures({"--context", "4096"}), "memory", "cache"),
            2 * number(plain, "memory", "cache"));
  EXPECT_LT(number(figures({"--kv-cache-dtype", "int8"}), "memory", "cache"),
            0.6 * number(plain, "memory", "cache"));
  EXPECT_GT(number(figures({"--batch", "64"}), "decode", "seconds"),
            number(plain, "decode", "seconds"));
  EXPECT_EQ(number(figures({"--disk", "1GB/s"}), "load_seconds", "disk"), 2 * 8.030261248);
}

TEST(PlanCommandTest, WorkThatIsNotGivenFitsAShortModel) {
  const fs::path folder = fs::path(::testing::TempDir()) / "plan-short";
  fs::create_directories(folder);
  std::string config = *ReadFile("bench/shapes/llama-7b/config.json", 1 << 20);
  const std::string positions = "\"max_position_embeddings\": 4096";
  ASSERT_NE(config.find(positions), std::string::npos) << config;
  config.replace(config.find(positions), positions.size(), "\"max_position_embeddings\": 512");
  std::ofstream(folder / "config.json") << config;
  const auto work = [&](const Words& more) {
    Words words = {folder.string(), "--devices", "2xa10g"};
    words.insert(words.end(), more.begin(), more.end());
    const Json json = PlanJson(words);
    const Json& workload = *json.Find("workload");
    return std::array{*workload.Find("prompt_tokens")->AsInt64(),
                      *workload.Find("new_tokens")->AsInt64(),
                      *workload.Find("context_tokens")->AsInt64()};
  };
  EXPECT_EQ(work({}), (std::array<int64_t, 3>{410, 102, 512}));
  EXPECT_EQ(work({"--prompt", "500"}), (std::array<int64_t, 3>{500, 12, 512}));
  EXPECT_EQ(work({"--new-tokens", "200"}), (std::array<int64_t, 3>{312, 200, 512}));
}

TEST(PlanCommandTest, ErrorsNameTheValueAndWhatItMustBe) {
  const std::pair<Words, const char*> cases[] = {
      {{"no-model", "--devices", "4xa10g"}, "opt-30b"},
      {{"opt-30b", "--devices", "4xa10x"}, "a100-40"},
      {{"opt-30b", "--devices", "4xa10g", "--dtype", "int3"}, "--dtype int3: it must be one of"},
      {{"opt-30b", "--devices", "4xa10g", "--quantize", "gptq"}, "--quantize gptq"},
      {{"opt-30b", "--devices", "4xa10g", "--prompt", "0"}, "--prompt 0"},
      {{"opt-30b", "--devices", "4xa10g", "--disk", "fast"}, "--disk fast"},
      {{"opt-30b", "--devices", "4xa10g", "--tensor-parallel-degree", "two"}, "whole numbers"},
  };
  for (const auto& [words, part] : cases) {
    const ProcessResult result = Plan(words);
    EXPECT_NE(result.exit_code, 0);
    EXPECT_NE(result.exit_code, 2) << part;
    EXPECT_NE(result.errors.find(part), std::string::npos) << result.errors;
  }
}

}  // namespace
}  // namespace dray::testing
