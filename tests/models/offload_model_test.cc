// Models whose weights are larger than the memory that they may take: the answers are those of the model in memory, to
// the last bit, and the memory stays below the limit.
#include <gtest/gtest.h>

#include <cstring>
#include <filesystem>
#include <fstream>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "artifact/manifest.h"
#include "base/file.h"
#include "base/machine/memory_info.h"
#include "base/parse/json.h"
#include "base/testing/source_dir.h"
#include "engine/engine.h"
#include "engine/partition.h"
#include "engine/runner/loaded_model.h"
#include "engine/testing/sequence_scorer.h"
#include "serving/load/open_model.h"

namespace dray::engine {
namespace {

namespace fs = std::filesystem;
using kernels::WeightForm;
using kernels::WeightFormat;

// The demo model's tokenizer and a configuration of eight layers, each of a million weights; its head is tied or not.
class OffloadTest : public ::testing::Test {
 protected:
  OffloadTest() {
    std::string pattern = ::testing::TempDir() + "offload_XXXXXX";
    EXPECT_NE(::mkdtemp(pattern.data()), nullptr);
    dir_ = pattern;
    WriteConfig(256, false);
  }
  ~OffloadTest() override { fs::remove_all(dir_); }

  void WriteConfig(int64_t hidden, bool tied_head) {
    const fs::path demo = SourceDir() / "models" / "demo";
    fs::create_directories(dir_ / "model");
    for (const char* name : {"tokenizer.json", "tokenizer_config.json"}) {
      fs::copy_file(demo / name, dir_ / "model" / name, fs::copy_options::skip_existing);
    }
    Json config = *Json::Parse(*ReadFile(demo / "config.json", 1 << 20));
    config.Set("num_hidden_layers", 8);
    config.Set("hidden_size", hidden);
    config.Set("intermediate_size", 4 * hidden);
    config.Set("num_attention_heads", hidden / 32);
    config.Set("num_key_value_heads", hidden / 32);
    config.Set("tie_word_embeddings", tied_head);
    std::ofstream(dir_ / "model" / "config.json") << config.Dump();
  }

  // An artifact of random weights.
  LoadModelOptions Partitioned(const WeightForm& form) {
    LoadModelOptions from;
    from.model_dir = dir_ / "model";
    from.load_format = LoadFormat::kDummy;
    from.format = form;
    LoadModelOptions options;
    options.model_dir = dir_ / ("artifact" + std::to_string(count_++));
    const auto report =
        Partition({.load = from, .tokenizer = from.model_dir, .output = options.model_dir});
    EXPECT_TRUE(report.ok()) << report.status().message();
    return options;
  }

  static int64_t SizeOf(const LoadModelOptions& options) {
    return static_cast<int64_t>(fs::file_size(options.model_dir / artifact::kDataName));
  }
  static LoadModelOptions WithLimit(LoadModelOptions options, double share) {
    options.max_memory_bytes = static_cast<int64_t>(share * static_cast<double>(SizeOf(options)));
    return options;
  }

  static std::unique_ptr<LoadedModel> Load(LoadModelOptions options, int64_t num_ranks = 1,
                                           int64_t num_stages = 1) {
    options.tensor_parallel_degree = num_ranks;
    options.pipeline_parallel_degree = num_stages;
    options.backend_options.cpu = {.num_threads = static_cast<int>(2 * num_ranks * num_stages),
                                   .oversubscribe = true};
    auto model = LoadModel(options);
    EXPECT_TRUE(model.ok()) << model.status().message();
    return model.ok() ? std::move(*model) : nullptr;
  }

  // The logits of a prompt, read in pieces, and the tokens behind another one.
  static std::pair<std::vector<float>, std::vector<int32_t>> Outcome(LoadedModel& model) {
    std::vector<int32_t> tokens, positions;
    for (int32_t i = 0; i < 60; ++i) {
      tokens.push_back((i * 7 + 3) % 500);
      positions.push_back(i);
    }
    auto scorer = SequenceScorer::Make(model, {.chunk_tokens = 16}).value();
    auto logits = scorer.Logits(tokens, positions);
    EXPECT_TRUE(logits.ok()) << logits.status().message();
    auto greedy = scorer.Greedy(std::vector<int32_t>{5, 6, 7}, 8);
    EXPECT_TRUE(greedy.ok()) << greedy.status().message();
    return {logits.value(), greedy.value()};
  }

  static void ExpectSame(const LoadModelOptions& artifact, double share, int64_t num_ranks = 1,
                         int64_t num_stages = 1) {
    SCOPED_TRACE(::testing::Message() << num_ranks << " ranks, " << num_stages << " stages");
    const auto whole = Load(artifact, num_ranks, num_stages);
    const auto part = Load(WithLimit(artifact, share), num_ranks, num_stages);
    ASSERT_TRUE(whole != nullptr && part != nullptr);
    EXPECT_FALSE(whole->offload);
    ASSERT_TRUE(part->offload);
    EXPECT_LE(part->offload->memory_bytes, part->offload->limit_bytes);
    EXPECT_GT(part->offload->streamed_bytes, 0);
    EXPECT_EQ(Outcome(*part), Outcome(*whole));
  }

  fs::path dir_;
  int count_ = 0;
};

TEST_F(OffloadTest, BitsAreThoseOfTheModelInMemory) {
  for (const WeightForm& form : {WeightForm(WeightFormat::kF32), WeightForm(WeightFormat::kBF16),
                                 WeightForm(WeightFormat::kI8), WeightForm(WeightFormat::kI4)}) {
    SCOPED_TRACE(Name(form));
    ExpectSame(Partitioned(form), 0.6);
  }
}

TEST_F(OffloadTest, ATiedHeadStays) {
  WriteConfig(256, true);
  ExpectSame(Partitioned(WeightFormat::kBF16), 0.5);
}

TEST_F(OffloadTest, RanksAndStagesReadTheSameBytes) {
  const LoadModelOptions artifact = Partitioned(WeightFormat::kI8);
  ExpectSame(artifact, 0.8, 2, 1);
  ExpectSame(artifact, 0.8, 1, 2);
  ExpectSame(artifact, 0.8, 2, 2);
}

TEST_F(OffloadTest, WithoutVerificationItIsTheSame) {
  LoadModelOptions artifact = Partitioned(WeightFormat::kBF16);
  artifact.verify_artifact = false;
  ExpectSame(artifact, 0.7);
}

// Cache and working memory are beside the limit, which is for weights.
TEST_F(OffloadTest, MemoryStaysBelowTheLimit) {
  WriteConfig(1024, false);
  const LoadModelOptions options = WithLimit(Partitioned(WeightFormat::kI8), 0.5);
  ResetPeakMemory();
  const int64_t before = PeakMemoryBytes();
  const auto model = Load(options);
  ASSERT_NE(model, nullptr);
  Outcome(*model);
  const int64_t taken = PeakMemoryBytes() - before;
  if (before == 0) GTEST_SKIP() << "the kernel does not tell the peak";
  constexpr int64_t kBeside = int64_t{40} << 20;
  EXPECT_GT(SizeOf(options), options.max_memory_bytes + kBeside) << "or this shows nothing";
  EXPECT_LT(taken, options.max_memory_bytes + kBeside);
}

TEST_F(OffloadTest, ALimitThatIsLargeEnoughChangesNothing) {
  const LoadModelOptions artifact = Partitioned(WeightFormat::kBF16);
  const auto model = Load(WithLimit(artifact, 1.0));
  ASSERT_NE(model, nullptr);
  EXPECT_FALSE(model->offload);
}

TEST_F(OffloadTest, WhatCannotRunFromTheDiskIsRefused) {
  const LoadModelOptions artifact = Partitioned(WeightFormat::kBF16);
  const auto refusal = [](const LoadModelOptions& options) {
    return LoadModel(options).status().message();
  };
  EXPECT_NE(refusal(WithLimit(artifact, 0.1)).find("max_memory"), std::string::npos)
      << refusal(WithLimit(artifact, 0.1));
  LoadModelOptions processes = WithLimit(artifact, 0.6);
  processes.ranks.transport = RankTransport::kProcesses;
  EXPECT_NE(refusal(processes).find("rank_transport"), std::string::npos) << refusal(processes);
  LoadModelOptions checkpoint;
  checkpoint.model_dir = SourceDir() / "models" / "demo";
  checkpoint.max_memory_bytes = 100'000;
  EXPECT_NE(refusal(checkpoint).find("dray partition"), std::string::npos) << refusal(checkpoint);
}

TEST_F(OffloadTest, AShorterFileIsAnErrorOfTheRequest) {
  const LoadModelOptions artifact = WithLimit(Partitioned(WeightFormat::kBF16), 0.6);
  const auto model = Load(artifact);
  ASSERT_NE(model, nullptr);
  auto scorer = SequenceScorer::Make(*model, {}).value();
  fs::resize_file(artifact.model_dir / artifact::kDataName, 4096);
  const auto greedy = scorer.Greedy(std::vector<int32_t>{5, 6, 7}, 4);
  EXPECT_EQ(greedy.status().code(), StatusCode::kCorrupt);
  EXPECT_NE(greedy.status().message().find(artifact::kDataName), std::string::npos)
      << greedy.status().message();
}

// As a server opens a model.
class OffloadedModelTest : public OffloadTest {
 protected:
  OffloadedModelTest() {
    demo_ = SourceDir() / "models" / "demo";
    settings_.max_memory_bytes = 200'000;
    settings_.offload_dir = dir_ / "offloaded";
  }
  Result<std::shared_ptr<serving::ServedModel>> Open() const {
    return serving::OpenModel(settings_, {.model = demo_, .tokenizer = demo_, .draft = {}}, {});
  }

  fs::path demo_;
  settings::ModelSettings settings_;
};

TEST_F(OffloadedModelTest, ACheckpointIsWrittenOnceAndThenRunsFromThere) {
  settings_.max_memory_bytes =
      static_cast<int64_t>(fs::file_size(demo_ / "model.safetensors")) * 9 / 10;
  const auto first = Open();
  ASSERT_TRUE(first.ok()) << first.status().message();
  EXPECT_TRUE((*first)->options().offload.has_value());
  const auto written = fs::last_write_time(dir_ / "offloaded" / artifact::kDataName);
  ASSERT_TRUE(Open().ok());
  EXPECT_EQ(fs::last_write_time(dir_ / "offloaded" / artifact::kDataName), written);
}

TEST_F(OffloadedModelTest, WithoutAFolderTheErrorSaysWhatToDo) {
  settings_.offload_dir.clear();
  const auto refused = Open();
  EXPECT_EQ(refused.status().code(), StatusCode::kResourceExhausted);
  EXPECT_NE(refused.status().message().find("offload_dir"), std::string::npos)
      << refused.status().message();
}

TEST_F(OffloadedModelTest, OneWorkerServesIt) {
  settings_.max_memory_bytes =
      static_cast<int64_t>(fs::file_size(demo_ / "model.safetensors")) * 9 / 10;
  settings_.workers.min_workers = settings_.workers.max_workers = 2;
  EXPECT_NE(Open().status().message().find("maxWorkers"), std::string::npos);
}

TEST_F(OffloadedModelTest, AModelThatFitsIsNotWritten) {
  settings_.max_memory_bytes = int64_t{1} << 30;
  ASSERT_TRUE(Open().ok());
  EXPECT_FALSE(fs::exists(dir_ / "offloaded"));
}

}  // namespace
}  // namespace dray::engine
