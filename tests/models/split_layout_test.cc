// The layouts of other programs (tests/golden/make_layout_goldens.py) against the plain checkpoint with
// the same weights: the same logits bit for bit, whole and divided over ranks.
#include <gtest/gtest.h>

#include <algorithm>
#include <filesystem>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "base/testing/source_dir.h"
#include "engine/partition.h"
#include "engine/runner/loaded_model.h"
#include "model/describe/model_files.h"
#include "testing/golden_model.h"
#include "testing/golden_run.h"

namespace dray::engine {
namespace {

namespace fs = std::filesystem;

const fs::path kGolden = SourceDir() / "tests" / "golden";

struct Case {
  std::string layout;    // a folder of layouts/
  std::string golden;    // of models/: prompts, and what transformers answers
  std::string plain;     // the checkpoint with the same weights, from kGolden on
  std::string format;    // LoadedModel::checkpoint_format
  double tolerance = 0;  // of logits against the plain checkpoint's error
};

const Case kCases[] = {
    {"neuronx-opt", "opt", "models/opt", "transformers-neuronx"},
    {"deepspeed-bloom-6-heads", "bloom-6-heads", "models/bloom-6-heads", "DeepSpeed"},
    {"deepspeed-opt", "opt", "models/opt", "DeepSpeed"},
    {"deepspeed-gptj", "gptj", "models/gptj", "DeepSpeed"},
    {"deepspeed-gpt_neo", "gpt_neo", "models/gpt_neo", "DeepSpeed"},
    {"deepspeed-gpt2", "gpt2", "models/gpt2", "DeepSpeed"},
    {"deepspeed-gpt_neox", "gpt_neox", "layouts/plain-gpt_neox", "DeepSpeed"},
    {"faster_transformer-gpt2", "gpt2", "models/gpt2", "FasterTransformer"},
    {"faster_transformer-gpt2-f16", "gpt2", "layouts/plain-gpt2-f16", "FasterTransformer"},
    {"faster_transformer-opt", "opt", "models/opt", "FasterTransformer"},
    // The converter multiplies the token tables by OPT's projections.
    {"faster_transformer-opt-350m", "opt-350m", "models/opt-350m", "FasterTransformer", 1e-4},
    {"faster_transformer-bloom-6-heads", "bloom-6-heads", "models/bloom-6-heads",
     "FasterTransformer"},
    {"faster_transformer-gptj", "gptj", "models/gptj", "FasterTransformer"},
    // The converter divides biases by the number of ranks, which rounds.
    {"faster_transformer-gpt_neox", "gpt_neox", "layouts/plain-gpt_neox", "FasterTransformer",
     1e-5},
};

// A folder with the layout's files and the plain checkpoint's config.json, as a user has them.
class LayoutFolder {
 public:
  explicit LayoutFolder(const Case& tested)
      : dir_(fs::path(::testing::TempDir()) / ("layout-" + tested.layout)) {
    fs::remove_all(dir_);
    fs::copy(kGolden / "layouts" / tested.layout, dir_, fs::copy_options::recursive);
    fs::copy_file(kGolden / tested.plain / "config.json", dir_ / "config.json");
  }
  ~LayoutFolder() { fs::remove_all(dir_); }
  LayoutFolder(const LayoutFolder&) = delete;
  LayoutFolder& operator=(const LayoutFolder&) = delete;

  const fs::path& dir() const { return dir_; }

 private:
  fs::path dir_;
};

Result<std::unique_ptr<LoadedModel>> Load(
    const fs::path& dir, int64_t num_ranks = 1,
    std::optional<kernels::WeightForm> format = kernels::WeightFormat::kF32) {
  const auto num_threads = static_cast<int>(std::max<int64_t>(2, num_ranks));
  return LoadModel(
      {.model_dir = dir,
       .format = format,
       .tensor_parallel_degree = num_ranks,
       .backend_options = {.cpu = {.num_threads = num_threads, .oversubscribe = true}}});
}

// DeepSpeed's integers are those of the plain checkpoint's floats, and stay integers unless another
// format is asked for. Then inputs are rounded too, which changes logits by a tenth of the largest; a
// wrong scale would change them by more than their size.
TEST(ScaledRowsTest, DeepSpeedsIntegersAreKept) {
  constexpr double kRoundedInputs = 0.25;
  const Case tested = {"deepspeed-bloom-int8", "bloom-6-heads", "layouts/plain-bloom-int8", ""};
  const LayoutFolder folder(tested);
  const testing::GoldenModel golden = testing::ReadGoldenModel(tested.golden);
  for (const int64_t ranks : {1, 2, 3}) {
    const auto plain = Load(kGolden / tested.plain, ranks);
    const auto floats = Load(folder.dir(), ranks);
    const auto kept = Load(folder.dir(), ranks, std::nullopt);
    ASSERT_TRUE(plain.ok()) << plain.status().ToString();
    ASSERT_TRUE(floats.ok()) << floats.status().ToString();
    ASSERT_TRUE(kept.ok()) << kept.status().ToString();
    EXPECT_EQ(testing::WorstLogitError(**floats, golden),
              testing::WorstLogitError(**plain, golden));
    EXPECT_EQ((*kept)->format, kernels::WeightFormat::kI8);
    EXPECT_LT(testing::WorstLogitError(**kept, golden), kRoundedInputs);
  }
}

class SplitLayoutTest : public ::testing::TestWithParam<Case> {
 protected:
  void SetUp() override { golden_ = testing::ReadGoldenModel(GetParam().golden); }

  testing::GoldenModel golden_;
};

TEST_P(SplitLayoutTest, ComputesWhatThePlainCheckpointComputes) {
  const LayoutFolder folder(GetParam());
  const auto plain = Load(kGolden / GetParam().plain);
  const auto split = Load(folder.dir());
  ASSERT_TRUE(plain.ok()) << plain.status().ToString();
  ASSERT_TRUE(split.ok()) << split.status().ToString();
  EXPECT_EQ((*split)->checkpoint_format, GetParam().format);
  EXPECT_NEAR(testing::WorstLogitError(**split, golden_),
              testing::WorstLogitError(**plain, golden_), GetParam().tolerance);
  EXPECT_EQ(testing::GreedyTokens(**split, golden_), testing::GreedyTokens(**plain, golden_));
}

// Ranks other than those of the files, whose slices begin and end inside the files' slices.
TEST_P(SplitLayoutTest, IsDividedOverAnyNumberOfRanks) {
  const LayoutFolder folder(GetParam());
  for (const int64_t ranks : {2, 3}) {
    const auto plain = Load(kGolden / GetParam().plain, ranks);
    const auto split = Load(folder.dir(), ranks);
    ASSERT_TRUE(plain.ok()) << plain.status().ToString();
    ASSERT_TRUE(split.ok()) << split.status().ToString();
    EXPECT_NEAR(testing::WorstLogitError(**split, golden_),
                testing::WorstLogitError(**plain, golden_), GetParam().tolerance)
        << ranks;
  }
}

// The artifact says what config.json does not: OPT-350m's tables have the full width here.
TEST_P(SplitLayoutTest, AnArtifactOfItComputesTheSame) {
  const LayoutFolder folder(GetParam());
  const fs::path artifact = folder.dir() / "artifact";
  const auto report =
      Partition({.load = {.model_dir = folder.dir(), .format = kernels::WeightFormat::kF32},
                 .tokenizer = folder.dir(),
                 .output = artifact});
  ASSERT_TRUE(report.ok()) << report.status().ToString();
  for (const int64_t ranks : {1, 2}) {
    const auto split = Load(folder.dir(), ranks);
    const auto mapped = Load(artifact, ranks, std::nullopt);
    ASSERT_TRUE(split.ok()) << split.status().ToString();
    ASSERT_TRUE(mapped.ok()) << mapped.status().ToString();
    EXPECT_EQ(testing::WorstLogitError(**mapped, golden_),
              testing::WorstLogitError(**split, golden_))
        << ranks;
    EXPECT_EQ(testing::GreedyTokens(**mapped, golden_), testing::GreedyTokens(**split, golden_));
  }
}

// Integers are rounded from whole rows, so a wrong join would show in the scales.
TEST_P(SplitLayoutTest, IsQuantizedLikeThePlainCheckpoint) {
  if (GetParam().tolerance > 0) GTEST_SKIP() << "the weights differ in the last bits";
  const LayoutFolder folder(GetParam());
  const kernels::WeightForm int8 = kernels::WeightFormat::kI8;
  const auto plain = Load(kGolden / GetParam().plain, 1, int8);
  const auto split = Load(folder.dir(), 1, int8);
  ASSERT_TRUE(plain.ok()) << plain.status().ToString();
  ASSERT_TRUE(split.ok()) << split.status().ToString();
  EXPECT_EQ(testing::WorstLogitError(**split, golden_), testing::WorstLogitError(**plain, golden_));
}

// A file that somebody writes to while the model is read is an error that names the file.
TEST_P(SplitLayoutTest, RefusesFilesThatChangeMeanwhile) {
  const LayoutFolder folder(GetParam());
  std::vector<fs::path> files;
  {
    const auto opened = model::OpenModelFiles(folder.dir());
    ASSERT_TRUE(opened.ok()) << opened.status().ToString();
    files = opened->checkpoint.files();
  }
  for (const fs::path& file : {files.front(), files[files.size() / 2], files.back()}) {
    LoadModelOptions options;
    options.model_dir = folder.dir();
    options.backend_options = {.cpu = {.num_threads = 2}};
    bool is_changed = false;
    options.progress = [&](uint64_t, uint64_t) {
      if (!std::exchange(is_changed, true)) fs::resize_file(file, fs::file_size(file) + 1);
    };
    const Status status = LoadModel(options).status();
    EXPECT_EQ(status.code(), StatusCode::kCorrupt) << status.ToString();
    EXPECT_NE(status.message().find(file.string()), std::string::npos) << status.message();
    fs::resize_file(file, fs::file_size(file) - 1);
  }
}

// Whatever file is missing or too short is noticed before any weights are read.
TEST_P(SplitLayoutTest, RefusesFilesThatAreMissingOrCut) {
  const LayoutFolder folder(GetParam());
  std::vector<fs::path> files;
  {
    const auto opened = model::OpenModelFiles(folder.dir());
    ASSERT_TRUE(opened.ok()) << opened.status().ToString();
    files = opened->checkpoint.files();
  }
  const auto expect_refusal = [&](const fs::path& file, const char* what) {
    bool is_read = false;
    LoadModelOptions options;
    options.model_dir = folder.dir();
    options.backend_options = {.cpu = {.num_threads = 2}};
    options.progress = [&](uint64_t, uint64_t) { is_read = true; };
    const Status status = LoadModel(options).status();
    EXPECT_FALSE(status.ok()) << file << " " << what;
    EXPECT_FALSE(is_read) << file << " " << what;
    EXPECT_NE(status.message().find(folder.dir().string()), std::string::npos) << status.message();
  };
  // The converter writes the table of a model with a tied head twice. Either of the two will do.
  const auto is_spare = [&](const fs::path& file) {
    const std::string name = file.filename().string();
    return GetParam().layout == "faster_transformer-opt" &&
           (name == "model.wte.bin" || name == "model.lm_head.weight.bin");
  };
  for (const fs::path& file : files) {
    const fs::path copy = folder.dir() / "copy";
    fs::copy_file(file, copy);
    fs::resize_file(file, fs::file_size(file) - 1);
    expect_refusal(file, "cut");
    fs::remove(file);
    if (!is_spare(file)) expect_refusal(file, "missing");
    fs::rename(copy, file);
  }
  EXPECT_TRUE(Load(folder.dir()).ok());
}

std::string CaseName(const ::testing::TestParamInfo<Case>& info) {
  std::string name = info.param.layout;
  std::replace(name.begin(), name.end(), '-', '_');
  return name;
}

INSTANTIATE_TEST_SUITE_P(Layouts, SplitLayoutTest, ::testing::ValuesIn(kCases), CaseName);

}  // namespace
}  // namespace dray::engine
