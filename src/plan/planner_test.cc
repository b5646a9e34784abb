// Whole plans: which degrees fit and which do not, why, and which is best.
#include "plan/planner.h"

#include <gtest/gtest.h>

#include <string>

#include "plan/devices/parse_machines.h"
#include "plan/report/report.h"
#include "plan/shape/open_shape.h"

namespace dray::plan {
namespace {

using kernels::WeightFormat;

Result<Plan> TryPlan(const std::string& model, const std::string& devices,
                     const PlanOptions& options) {
  const auto machines =
      ParseMachines(devices, [] { return Status(StatusCode::kInternal, "not asked for"); });
  EXPECT_TRUE(machines.ok()) << machines.status().ToString();
  return MakePlan(**OpenShape(model), *machines, options);
}

Plan PlanOf(const std::string& model, const std::string& devices, const PlanOptions& options = {}) {
  auto plan = TryPlan(model, devices, options);
  EXPECT_TRUE(plan.ok()) << plan.status().ToString();
  return plan.ok() ? std::move(*plan) : Plan{};
}

const PlanRow& RowOf(const Plan& plan, const Degrees& degrees) {
  for (const PlanRow& row : plan.rows) {
    if (row.degrees == degrees) return row;
  }
  ADD_FAILURE() << "no row " << degrees.tensor << " x " << degrees.pipeline;
  return plan.rows.front();
}

bool Says(const PlanRow& row, const std::string& part) {
  for (const std::string& reason : row.reasons) {
    if (reason.find(part) != std::string::npos) return true;
  }
  return false;
}

// The rules of the Neuron runtime: weights and cache within 16 GB times the degree, degrees of its
// list, and a degree that divides the 40 heads.
TEST(PlannerTest, Opt13bOnInferentia2) {
  const PlanOptions options = {.workload = {.batch = 2}, .tensor_degrees = {1, 2, 3, 4, 8, 24}};
  const Plan plan = PlanOf("opt-13b", "inf2.48xlarge", options);
  EXPECT_TRUE(Says(RowOf(plan, {1, 1}), "a rank needs"));
  EXPECT_TRUE(Says(RowOf(plan, {3, 1}), "degrees 1, 2, 4, 8, 24 only"));
  EXPECT_TRUE(Says(RowOf(plan, {24, 1}), "divides the 40 heads"));
  for (const int64_t degree : {4, 8}) EXPECT_TRUE(RowOf(plan, {degree, 1}).fits()) << degree;
  ASSERT_TRUE(plan.best);
  // Three stages of eight would be 3 % faster, with three times the cores.
  EXPECT_EQ(plan.rows[*plan.best].degrees, (Degrees{8, 1}));
}

TEST(PlannerTest, Bloom176bInInt8NeedsEightA100) {
  const PlanOptions options = {.format = WeightFormat::kI8, .workload = {.batch = 4}};
  const Plan plan = PlanOf("bloom-176b", "p4d.24xlarge", options);
  EXPECT_TRUE(Says(RowOf(plan, {4, 1}), "a rank needs"));
  const PlanRow& eight = RowOf(plan, {8, 1});
  ASSERT_TRUE(eight.fits());
  EXPECT_NEAR(eight.figures->memory.weights, 176.3e9 / 8, 0.05e9);
  EXPECT_EQ(plan.rows[*plan.best].degrees, (Degrees{8, 1}));
  // In half precision it does not fit at all.
  const Plan half = PlanOf("bloom-176b", "p4d.24xlarge");
  EXPECT_FALSE(half.best);
  EXPECT_NE(half.notes.back().find("nothing fits"), std::string::npos);
}

TEST(PlannerTest, WhatCannotBeSaysWhy) {
  const PlanOptions options = {.tensor_degrees = {1, 16, 32, 64}, .pipeline_degrees = {1, 50}};
  const Plan plan = PlanOf("opt-1.3b", "16xa10g", options);
  EXPECT_TRUE(RowOf(plan, {1, 1}).fits());
  EXPECT_TRUE(RowOf(plan, {16, 1}).fits());
  EXPECT_TRUE(Says(RowOf(plan, {32, 1}), "on one host"));
  EXPECT_TRUE(Says(RowOf(plan, {64, 1}), "the model has 32 heads"));
  EXPECT_TRUE(Says(RowOf(plan, {1, 50}), "24 layers"));
  EXPECT_TRUE(Says(RowOf(plan, {16, 50}), "room for 1"));
  EXPECT_FALSE(RowOf(plan, {32, 1}).figures);
}

TEST(PlannerTest, PaddingAndSharedHeadsAreNoted) {
  const Plan plan = PlanOf("llama-3-8b", "16xa100-40", {.tensor_degrees = {3, 16}});
  EXPECT_EQ(RowOf(plan, {3, 1}).notes.front(), "4 heads of padding");
  EXPECT_GT(RowOf(plan, {3, 1}).figures->total_padding_bytes, 0);
  EXPECT_EQ(RowOf(plan, {16, 1}).notes.front(), "16 ranks share 8 key/value heads");
}

TEST(PlannerTest, TwoHostsFitWhatOneDoesNot) {
  const Plan plan = PlanOf("bloom-176b", "2*p4d.24xlarge");
  const PlanRow& row = RowOf(plan, {8, 2});
  EXPECT_TRUE(row.fits());
  EXPECT_GT(row.figures->traffic.stage, 0);
  EXPECT_EQ(row.figures->layout.stage_hosts, (std::vector<size_t>{0, 1}));
}

TEST(PlannerTest, LoadTimesFromDiskAndNetwork) {
  const Plan plan = PlanOf("opt-30b", "4xa10g,disk=2GB/s", {.tensor_degrees = {4}});
  const LoadTimes& load = plan.rows.front().figures->load;
  EXPECT_NEAR(*load.disk, 2.0 * 29'974'540'288 / 2e9, 0.01);
  EXPECT_FALSE(load.network);
  const Plan int8 =
      PlanOf("opt-30b", "4xa10g,disk=2GB/s", {.format = WeightFormat::kI8, .tensor_degrees = {4}});
  EXPECT_EQ(*int8.rows.front().figures->load.disk, *load.disk);  // the checkpoint is the same
  EXPECT_LT(*int8.rows.front().figures->load.artifact_disk, 0.51 * *load.disk);
}

TEST(PlannerTest, WrongWorkNamesTheFlagAndTheLimit) {
  const std::pair<Workload, const char*> cases[] = {
      {{.batch = 0}, "--batch 0"},
      {{.batch = 1, .prompt_tokens = 4000}, "--prompt 4000: it must be a number from 1 to 2048"},
      {{.batch = 1, .prompt_tokens = 2000, .new_tokens = 100}, "--context 2048"},
      {{.batch = 1, .prompt_tokens = 1, .new_tokens = 1, .context_tokens = 5000},
       "--context 5000"}};
  for (const auto& [work, part] : cases) {
    const auto plan = TryPlan("opt-30b", "4xa10g", {.workload = work});
    ASSERT_FALSE(plan.ok()) << part;
    EXPECT_NE(plan.status().message().find(part), std::string::npos) << plan.status().message();
  }
}

TEST(ReportTest, EveryFormShowsEveryRow) {
  const Plan plan =
      PlanOf("bloom-176b", "p4d.24xlarge", {.format = WeightFormat::kI8, .workload = {.batch = 4}});
  const std::string text = ToText(plan), svg = ToSvg(plan), html = ToHtml(plan);
  EXPECT_NE(text.find("176,247,271,424 parameters"), std::string::npos);
  EXPECT_NE(text.find("* 8 is best"), std::string::npos) << text;
  EXPECT_NE(text.find("a rank needs"), std::string::npos);
  const Json json = *Json::Parse(ToJson(plan));
  EXPECT_EQ(json.Find("rows")->AsArray()->size(), plan.rows.size());
  EXPECT_EQ(*json.Find("model")->Find("parameters")->AsInt64(), 176'247'271'424);
  EXPECT_EQ(svg.substr(0, 4), "<svg");
  EXPECT_NE(html.find(svg), std::string::npos);
  for (const char* const part : {"http://", "https://", "<script", "url("}) {
    // The one address is the name of the format.
    const size_t at = html.find(part);
    EXPECT_TRUE(at == std::string::npos || html.compare(at, 26, "http://www.w3.org/2000/svg") == 0);
  }
}

TEST(ReportTest, NamesAreEscaped) {
  Plan plan = PlanOf("opt-1.3b", "1xa10g");
  plan.facts.name = "<b>&\"";
  EXPECT_EQ(ToHtml(plan).find("<b>"), std::string::npos);
}

}  // namespace
}  // namespace dray::plan
