// Which bytes stay in memory under a limit, for artifacts that exist as a manifest only.
#include "model/weights/offload/offload_plan.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <string>
#include <tuple>
#include <utility>
#include <vector>

#include "base/machine/huge_pages.h"

namespace dray::model {
namespace {

using artifact::ByteRange;

constexpr auto kPage = static_cast<int64_t>(kPageBytes);
constexpr int64_t kTable = 5'000'064;
constexpr int64_t kSmall = 1'000'000, kLarge = 3'000'064;

// A table, and two matrices and a vector for each layer, a slot of all layers after another.
artifact::Manifest MakeManifest(int64_t num_layers) {
  artifact::Manifest manifest;
  int64_t end = 0;
  const auto add = [&](const std::string& name, int64_t size, bool is_matrix) {
    artifact::ArtifactTensor tensor;
    tensor.name = name;
    if (is_matrix) tensor.matrix = kernels::MatrixSpec::Of(1, 1, kernels::WeightFormat::kI8);
    tensor.offset = end;
    tensor.size_bytes = size;
    end += size;
    manifest.tensors.push_back(std::move(tensor));
  };
  add("token_table", kTable, true);
  for (const auto& [slot, size, is_matrix] :
       {std::tuple{".qkv", kLarge, true}, {".norm", kPage, false}, {".out", kSmall, true}}) {
    for (int64_t layer = 0; layer < num_layers; ++layer) {
      add("layers." + std::to_string(layer) + slot, size, is_matrix);
    }
  }
  manifest.data.size_bytes = end;
  return manifest;
}

Result<OffloadPlan> Plan(const artifact::Manifest& manifest, int64_t limit, int64_t num_stages = 1,
                         int64_t num_layers = 12) {
  return PlanOffload(
      manifest, {.num_layers = num_layers, .num_stages = num_stages, .limit_bytes = limit}, "x");
}

// Every byte of the file is in one range, and ranges that move are whole pages.
void ExpectWhole(const OffloadPlan& plan, int64_t file_bytes) {
  std::vector<ByteRange> all = plan.resident;
  for (const auto& units : plan.stages) {
    for (const auto& unit : units) all.insert(all.end(), unit.begin(), unit.end());
  }
  std::sort(all.begin(), all.end(),
            [](const ByteRange& a, const ByteRange& b) { return a.begin < b.begin; });
  int64_t end = 0;
  for (const ByteRange& range : all) {
    EXPECT_EQ(range.begin, end);
    EXPECT_EQ(range.begin % kPage, 0);
    EXPECT_GT(range.size(), 0);
    end = range.end;
  }
  EXPECT_EQ(end, file_bytes);
}

TEST(OffloadPlanTest, ItFillsTheLimitAndNoMore) {
  const artifact::Manifest manifest = MakeManifest(12);
  const int64_t whole = manifest.data.size_bytes;
  for (const int64_t num_stages : {1, 2, 3}) {
    for (const double share : {0.99, 0.8, 0.7}) {
      const auto limit = static_cast<int64_t>(share * static_cast<double>(whole));
      const auto plan = Plan(manifest, limit, num_stages);
      ASSERT_TRUE(plan.ok()) << plan.status().message();
      EXPECT_LE(plan->memory_bytes, limit);
      EXPECT_GT(plan->memory_bytes, limit - 60 * kPage) << "a few pages for each range";
      EXPECT_EQ(plan->resident_bytes + plan->streamed_bytes, whole);
      EXPECT_EQ(static_cast<int64_t>(plan->stages.size()), num_stages);
      ExpectWhole(*plan, whole);
    }
  }
}

TEST(OffloadPlanTest, AStepReadsLittleMoreThanWhatDoesNotFit) {
  const artifact::Manifest manifest = MakeManifest(24);
  const int64_t whole = manifest.data.size_bytes;
  const auto plan = Plan(manifest, whole / 2, 1, 24);
  ASSERT_TRUE(plan.ok());
  // Two of 24 units are in memory beside what stays.
  EXPECT_LT(plan->streamed_bytes, (whole - whole / 2) / 22 * 24 + 100 * kPage);
}

TEST(OffloadPlanTest, EveryLayerIsAUnit) {
  const auto plan = Plan(MakeManifest(12), 40'000'000, 3);
  ASSERT_TRUE(plan.ok());
  for (const auto& units : plan->stages) {
    EXPECT_EQ(units.size(), 4u);
    for (const auto& unit : units) EXPECT_EQ(unit.size(), 2u) << "a part of each matrix";
  }
}

TEST(OffloadPlanTest, TheErrorNamesALimitThatWouldDo) {
  const artifact::Manifest manifest = MakeManifest(12);
  const auto refused = Plan(manifest, 1'000'000);
  EXPECT_EQ(refused.status().code(), StatusCode::kResourceExhausted);
  // The table, the vectors, two layers, and pages that two matrices share.
  const int64_t least = kTable + 12 * kPage + 2 * (kSmall + kLarge) + 100 * kPage;
  EXPECT_TRUE(Plan(manifest, least).ok());
  EXPECT_FALSE(Plan(manifest, least - 200 * kPage).ok());
  EXPECT_NE(refused.status().message().find("needs 13."), std::string::npos)
      << refused.status().message();
}

TEST(OffloadPlanTest, AStageOfTwoLayersCannotBeStreamed) {
  const artifact::Manifest manifest = MakeManifest(4);
  const auto refused = Plan(manifest, manifest.data.size_bytes - 1, 2, 4);
  EXPECT_EQ(refused.status().code(), StatusCode::kResourceExhausted);
}

TEST(OffloadPlanTest, AnArtifactWithFewerLayersIsRefused) {
  EXPECT_EQ(Plan(MakeManifest(11), 40'000'000).status().code(), StatusCode::kCorrupt);
}

}  // namespace
}  // namespace dray::model
