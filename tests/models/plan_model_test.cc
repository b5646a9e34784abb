// What `dray plan` says of a model from its configuration, against models in memory: for every family,
// degree and format, parameters, bytes of weights and cache, and the cost of a pass are the same.
#include <gtest/gtest.h>

#include <filesystem>
#include <string>

#include "base/testing/source_dir.h"
#include "bench/model_cost.h"
#include "engine/partition.h"
#include "engine/runner/cache_size.h"
#include "model/forward/kv_cache.h"
#include "plan/cost/memory.h"
#include "plan/cost/pass.h"
#include "plan/shape/open_shape.h"
#include "testing/engine_support.h"
#include "testing/golden_encoder_decoder.h"
#include "testing/golden_model.h"

namespace dray::plan {
namespace {

using engine::LoadedModel;
using kernels::WeightForm;
using kernels::WeightFormat;

std::unique_ptr<ModelShape> Open(const testing::GoldenModel& golden) {
  auto shape = OpenShape(golden.dir.string());
  EXPECT_TRUE(shape.ok()) << shape.status().ToString();
  return shape.ok() ? std::move(*shape) : nullptr;
}

std::unique_ptr<LoadedModel> Load(const testing::GoldenModel& golden, const WeightForm& form,
                                  int64_t ranks, int64_t stages) {
  auto model =
      engine::LoadModel({.model_dir = golden.dir,
                         .format = form,
                         .tensor_parallel_degree = ranks,
                         .pipeline_parallel_degree = stages,
                         .backend_options = {.cpu = {.num_threads = 4, .oversubscribe = true}}});
  EXPECT_TRUE(model.ok()) << model.status().ToString();
  return model.ok() ? std::move(*model) : nullptr;
}

TEST(PlanModelTest, ParametersOfEveryFamily) {
  for (const std::string& variant : testing::GoldenVariants()) {
    const auto golden = testing::ReadGoldenModel(variant);
    const auto model = engine::LoadGolden(golden);
    const auto shape = Open(golden);
    ASSERT_TRUE(model != nullptr && shape != nullptr) << variant;
    EXPECT_EQ(shape->facts().parameters, model->ranks.front().weights.num_parameters()) << variant;
  }
}

void ExpectSameMemory(const LoadedModel& model, const ModelShape& shape, const Formats& formats) {
  for (const engine::RankModel& rank : model.ranks) {
    const RankMemory memory = MemoryOf(
        shape.ShareOf(rank.rank, rank.stage), formats,
        {.batch = 3, .prompt_tokens = 8, .new_tokens = 8, .context_tokens = 64}, Packing::kPanels);
    EXPECT_EQ(memory.weights, static_cast<double>(rank.weight_bytes()));
    const int64_t cache = model::KvCache::BlockBytes(
        rank.stack, {.num_blocks = 1, .block_size = 64, .dtype = formats.cache});
    EXPECT_EQ(memory.cache, static_cast<double>(3 * cache));
  }
}

TEST(PlanModelTest, BytesOfEveryRankInEveryFormat) {
  const WeightForm forms[] = {WeightFormat::kF32, WeightFormat::kBF16, WeightFormat::kI8,
                              WeightFormat::kI4, WeightForm(WeightFormat::kI8, 32)};
  const std::pair<int64_t, int64_t> degrees[] = {{1, 1}, {2, 1}, {3, 1}, {4, 1}, {1, 2}, {2, 2}};
  for (const char* const variant :
       {"bloom", "bloom-6-heads", "gpt2", "gpt_neox", "gptj", "llama-gqa", "opt-350m", "qwen3"}) {
    const auto golden = testing::ReadGoldenModel(variant);
    const auto shape = Open(golden);
    ASSERT_NE(shape, nullptr);
    for (const WeightForm& form : forms) {
      for (const auto& [ranks, stages] : degrees) {
        if (ranks > shape->facts().num_heads) continue;
        SCOPED_TRACE(std::string(variant) + " " + kernels::Name(form) + " " +
                     std::to_string(ranks) + " x " + std::to_string(stages));
        const auto model = Load(golden, form, ranks, stages);
        ASSERT_NE(model, nullptr);
        ExpectSameMemory(*model, *shape, {form, form, engine::KvDType(*model, {})});
      }
    }
  }
}

// Integers that a checkpoint holds are kept, in the groups that a rank's columns allow.
TEST(PlanModelTest, BytesOfEveryRankOfCheckpointsInIntegers) {
  for (const char* const model_dir :
       {"quantized/gptq-g32", "quantized/gptq-8bit-g32", "quantized/awq-g64",
        "gguf/quantised-llama-q4_0/model.gguf", "gguf/quantised-llama-q4_k_m/model.gguf",
        "gguf/quantised-qwen2-q8_0/model.gguf"}) {
    const std::string dir = (SourceDir() / "tests/golden" / model_dir).string();
    const auto shape = OpenShape(dir);
    ASSERT_TRUE(shape.ok()) << shape.status().ToString();
    EXPECT_GT((*shape)->facts().checkpoint_bytes, 0);
    for (const int64_t ranks : {1, 2}) {
      SCOPED_TRACE(dir + " " + std::to_string(ranks));
      const auto model = engine::LoadModel(
          {.model_dir = dir,
           .tensor_parallel_degree = ranks,
           .backend_options = {.cpu = {.num_threads = 2, .oversubscribe = true}}});
      ASSERT_TRUE(model.ok()) << model.status().ToString();
      const WeightForm form = *(*shape)->facts().stored_format;
      ExpectSameMemory(**model, **shape,
                       {form, form, engine::KvDType(**model, {}), /*keep_stored=*/true});
    }
  }
}

// An artifact has the forms that it was written with, tables of their own among them.
TEST(PlanModelTest, BytesOfEveryRankOfAnArtifact) {
  const std::filesystem::path folder = ::testing::TempDir() + "plan_model_artifact";
  std::filesystem::remove_all(folder);
  engine::LoadModelOptions from;
  from.model_dir = testing::ReadGoldenModel("llama-gqa").dir;
  from.format = WeightFormat::kI8;
  from.table_format = WeightFormat::kF32;
  ASSERT_TRUE(
      engine::Partition({.load = from, .tokenizer = from.model_dir, .output = folder}).ok());
  const auto shape = OpenShape(folder.string());
  ASSERT_TRUE(shape.ok()) << shape.status().ToString();
  EXPECT_EQ((*shape)->facts().stored_format, WeightFormat::kI8);
  EXPECT_EQ((*shape)->facts().stored_table_format, WeightFormat::kF32);
  EXPECT_EQ((*shape)->facts().checkpoint_bytes,
            static_cast<double>(std::filesystem::file_size(folder / "weights.dray")));
  for (const int64_t ranks : {1, 2}) {
    SCOPED_TRACE(ranks);
    from.tensor_parallel_degree = ranks;
    from.backend_options = {.cpu = {.num_threads = 2, .oversubscribe = true}};
    const auto model = engine::LoadModel(from);
    ASSERT_TRUE(model.ok()) << model.status().ToString();
    ExpectSameMemory(**model, **shape,
                     {WeightFormat::kI8, WeightFormat::kF32, engine::KvDType(**model, {}),
                      /*keep_stored=*/true});
  }
  std::filesystem::remove_all(folder);
}

TEST(PlanModelTest, BytesOfEveryRankOfEncoderDecoders) {
  for (const std::string& variant : testing::GoldenEncoderDecoderVariants()) {
    const std::string dir = testing::ReadGoldenEncoderDecoder(variant).dir.string();
    const auto shape = OpenShape(dir);
    ASSERT_TRUE(shape.ok()) << shape.status().ToString();
    for (const WeightForm& form : {WeightForm(WeightFormat::kF32), WeightForm(WeightFormat::kI8)}) {
      for (const int64_t ranks : {1, 2}) {
        if (ranks > (*shape)->facts().num_heads) continue;
        SCOPED_TRACE(variant + " " + kernels::Name(form) + " " + std::to_string(ranks));
        const auto model = engine::LoadModel(
            {.model_dir = dir,
             .format = form,
             .tensor_parallel_degree = ranks,
             .backend_options = {.cpu = {.num_threads = 2, .oversubscribe = true}}});
        ASSERT_TRUE(model.ok()) << model.status().ToString();
        for (const engine::RankModel& rank : (*model)->ranks) {
          const RankMemory memory = MemoryOf((*shape)->ShareOf(rank.rank, rank.stage),
                                             {form, form, DType::kF32}, {}, Packing::kPanels);
          EXPECT_EQ(memory.weights, static_cast<double>(rank.weight_bytes()));
        }
      }
    }
  }
}

TEST(PlanModelTest, CostsOfAPassOfEveryFamily) {
  for (const std::string& variant : testing::GoldenVariants()) {
    const auto golden = testing::ReadGoldenModel(variant);
    const auto model = engine::LoadGolden(golden);
    const auto shape = Open(golden);
    ASSERT_TRUE(model != nullptr && shape != nullptr) << variant;
    const Formats formats = {WeightFormat::kF32, WeightFormat::kF32, DType::kF32};
    const RankShare share = shape->ShareOf({}, {});
    double token_bytes = 0;
    for (const AttentionShare& attention : share.attention) {
      token_bytes +=
          static_cast<double>(attention.windows.size()) * CacheTokenBytes(attention, formats.cache);
    }
    for (const bench::PassShape& pass :
         {bench::PassShape{1, 10, 10}, bench::PassShape{3, 1, 40}, bench::PassShape{2, 5, 30}}) {
      const auto planned = CostOf(share, {.shape = pass}, formats, Packing::kPanels);
      const auto measured = bench::CostOf(*model, pass, token_bytes);
      EXPECT_DOUBLE_EQ(planned.bytes, measured.bytes) << variant;
      EXPECT_DOUBLE_EQ(planned.f32, measured.f32) << variant;
      EXPECT_DOUBLE_EQ(planned.bf16, measured.bf16) << variant;
    }
  }
}

}  // namespace
}  // namespace dray::plan
