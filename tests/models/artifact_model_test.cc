// Models from artifacts against the same models from their checkpoints: every family, number format and
// kind of checkpoint, at one to four ranks and at two stages from one artifact, to the last bit.
#include <gtest/gtest.h>

#include <algorithm>
#include <cctype>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "artifact/manifest.h"
#include "base/testing/scarce_threads.h"
#include "base/testing/source_dir.h"
#include "engine/partition.h"
#include "engine/runner/loaded_model.h"
#include "engine/testing/sequence_scorer.h"
#include "kernels/testing/device_array.h"
#include "model/weights/calibration.h"
#include "testing/golden_encoder.h"
#include "testing/golden_model.h"

namespace dray::engine {
namespace {

namespace fs = std::filesystem;
using kernels::WeightForm;
using kernels::WeightFormat;
using kernels::ZeroPoint;

const fs::path kGolden = SourceDir() / "tests/golden";

LoadModelOptions WithRanks(LoadModelOptions options, int64_t num_ranks, int64_t num_stages) {
  options.tensor_parallel_degree = num_ranks;
  options.pipeline_parallel_degree = num_stages;
  const auto num_threads = static_cast<int>(std::max<int64_t>(2, num_ranks * num_stages));
  options.backend_options.cpu = {.num_threads = num_threads, .oversubscribe = true};
  return options;
}

// The logits of twenty tokens at all positions; the error's text if the model cannot be loaded.
struct Outcome {
  std::vector<float> logits;
  std::string error;

  bool operator==(const Outcome& other) const {
    return error == other.error && logits.size() == other.logits.size() &&
           std::memcmp(logits.data(), other.logits.data(), logits.size() * sizeof(float)) == 0;
  }
};

Outcome LogitsOf(const LoadModelOptions& options, int64_t num_ranks, int64_t num_stages = 1) {
  const auto model = LoadModel(WithRanks(options, num_ranks, num_stages));
  if (!model.ok()) return {{}, model.status().message()};
  std::vector<int32_t> tokens, positions;
  for (int32_t i = 0; i < 20; ++i) {
    tokens.push_back((i * 7 + 3) % static_cast<int32_t>((*model)->description.config.vocab_size));
    positions.push_back(i);
  }
  auto scorer = SequenceScorer::Make(**model, {});
  if (!scorer.ok()) return {{}, scorer.status().message()};
  return {scorer->Logits(tokens, positions).value(), {}};
}

class ArtifactModelTest : public ::testing::TestWithParam<std::string> {
 protected:
  ArtifactModelTest() {
    std::string pattern = ::testing::TempDir() + "artifact_model_XXXXXX";
    EXPECT_NE(::mkdtemp(pattern.data()), nullptr);
    dir_ = pattern;
  }
  ~ArtifactModelTest() override { fs::remove_all(dir_); }

  fs::path Partitioned(const LoadModelOptions& options) {
    const fs::path folder = dir_ / std::to_string(count_++);
    const auto report =
        Partition({.load = options, .tokenizer = options.model_dir, .output = folder});
    EXPECT_TRUE(report.ok()) << report.status().message();
    return folder;
  }

  // One artifact, and the weights of every number of ranks that the model has query heads for. That equal
  // weights in shared and in own memory make equal products: kernels/testing/matrix_part_test.cc.
  fs::path ExpectSameWeights(const LoadModelOptions& from) {
    LoadModelOptions mapped;
    mapped.model_dir = Partitioned(from);
    for (const auto& [num_ranks, num_stages] :
         {std::pair<int64_t, int64_t>{1, 1}, {2, 1}, {3, 1}, {4, 1}, {1, 2}, {2, 2}}) {
      SCOPED_TRACE(::testing::Message() << num_ranks << " ranks, " << num_stages << " stages");
      const auto expected = LoadModel(WithRanks(from, num_ranks, num_stages));
      const auto got = LoadModel(WithRanks(mapped, num_ranks, num_stages));
      EXPECT_EQ(got.status().message(), expected.status().message());
      if (!expected.ok() || !got.ok()) continue;
      for (size_t i = 0; i < (*expected)->ranks.size(); ++i) {
        ExpectSameRank((*expected)->ranks[i], (*got)->ranks[i]);
      }
    }
    return mapped.model_dir;
  }

  // The same, and the logits.
  void ExpectSame(const LoadModelOptions& from) {
    LoadModelOptions mapped;
    mapped.model_dir = ExpectSameWeights(from);
    for (const int64_t num_ranks : {1, 2, 3, 4}) {
      const Outcome expected = LogitsOf(from, num_ranks), got = LogitsOf(mapped, num_ranks);
      EXPECT_TRUE(got == expected) << num_ranks << " ranks " << got.error << expected.error;
    }
  }

  static void ExpectSameRank(const RankModel& expected, const RankModel& got) {
    int64_t difference = 0;
    expected.weights.ForEach([&](model::Slot slot, int64_t layer, int64_t elements, size_t) {
      SCOPED_TRACE(::testing::Message() << Name(slot) << " of layer " << layer);
      ++difference;
      const kernels::WeightMatrix* matrix = expected.weights.Matrix(slot, layer);
      if (matrix == nullptr) {
        const float* other = got.weights.Vector(slot, layer);
        ASSERT_NE(other, nullptr);
        EXPECT_TRUE(std::equal(other, other + elements, expected.weights.Vector(slot, layer)));
        return;
      }
      const kernels::WeightMatrix* other = got.weights.Matrix(slot, layer);
      ASSERT_NE(other, nullptr);
      EXPECT_EQ(FormOf(*other), FormOf(*matrix));
      EXPECT_EQ(other->spec().input_scale, matrix->spec().input_scale);
      EXPECT_EQ(kernels::ReadMatrix(*got.backend, *other),
                kernels::ReadMatrix(*expected.backend, *matrix));
    });
    got.weights.ForEach([&](model::Slot, int64_t, int64_t, size_t) { --difference; });
    EXPECT_EQ(difference, 0);
  }

  static std::string FormOf(const kernels::WeightMatrix& matrix) {
    const kernels::MatrixSpec& spec = matrix.spec();
    return Name(WeightForm(spec.format, spec.group, spec.zero, spec.inputs));
  }

  fs::path dir_;
  int count_ = 0;
};

TEST_P(ArtifactModelTest, FamiliesInEveryForm) {
  const WeightForm forms[] = {WeightFormat::kF32,
                              WeightFormat::kF16,
                              WeightFormat::kBF16,
                              WeightFormat::kI8,
                              {WeightFormat::kI8, 0, ZeroPoint::kNone, kernels::Inputs::kFloat},
                              {WeightFormat::kI8, 32},
                              WeightFormat::kI4,
                              {WeightFormat::kI4, 32, ZeroPoint::kPerGroup}};
  const fs::path dir = testing::ReadGoldenModel(GetParam()).dir;
  for (const WeightForm& form : forms) {
    SCOPED_TRACE(Name(form));
    LoadModelOptions options;
    options.model_dir = dir;
    options.format = form;
    ExpectSameWeights(options);
  }
  LoadModelOptions tables;
  tables.model_dir = dir;
  tables.format = WeightFormat::kI8;
  tables.table_format = WeightFormat::kBF16;
  ExpectSame(tables);
}

std::string TestName(const ::testing::TestParamInfo<std::string>& info) {
  std::string name = info.param;
  std::replace_if(
      name.begin(), name.end(), [](unsigned char c) { return std::isalnum(c) == 0; }, '_');
  return name;
}

INSTANTIATE_TEST_SUITE_P(Families, ArtifactModelTest,
                         ::testing::ValuesIn(testing::GoldenVariants()), TestName);

// Encoders compute with one rank; sentence_artifact_test.cc has their answers.
class ArtifactOfEncodersTest : public ArtifactModelTest {};

TEST_P(ArtifactOfEncodersTest, FamiliesInEveryForm) {
  LoadModelOptions options;
  options.model_dir = testing::ReadGoldenEncoder(GetParam()).dir;
  for (const WeightForm& form : {WeightForm(WeightFormat::kF32), WeightForm(WeightFormat::kBF16),
                                 WeightForm(WeightFormat::kI8), WeightForm(WeightFormat::kI4)}) {
    SCOPED_TRACE(Name(form));
    options.format = form;
    ExpectSameWeights(options);
  }
}

INSTANTIATE_TEST_SUITE_P(Encoders, ArtifactOfEncodersTest,
                         ::testing::ValuesIn(testing::GoldenEncoderVariants()), TestName);

class ArtifactOfIntegersTest : public ArtifactModelTest {};

TEST_P(ArtifactOfIntegersTest, KeptAndConverted) {
  LoadModelOptions options;
  options.model_dir = kGolden / GetParam();
  ExpectSame(options);
  options.format = WeightFormat::kBF16;
  ExpectSameWeights(options);
}

INSTANTIATE_TEST_SUITE_P(
    Kinds, ArtifactOfIntegersTest,
    ::testing::Values(
        "quantized/gptq-g32", "quantized/gptq-g48", "quantized/gptq-v2-g64-bias",
        "quantized/gptq-desc-act", "quantized/gptq-gpt2", "quantized/gptq-gpt_neox",
        "quantized/gptq-8bit-g32", "quantized/gptq-8bit-sym-whole-rows", "quantized/gptq-sym-g128",
        "quantized/gptq-whole-rows", "quantized/awq-g32", "quantized/awq-g64",
        "gguf/quantised-llama-q4_k_m/model.gguf", "gguf/quantised-llama-q4_0/model.gguf",
        "gguf/quantised-llama-small/model.gguf", "gguf/quantised-qwen2-q8_0/model.gguf",
        "gguf/bloom-6-heads.gguf", "gguf/gpt2.gguf", "gguf/gpt_neox.gguf", "gguf/llama-bias.gguf",
        "gguf/llama-gqa.gguf", "gguf/llama-rope-llama3.gguf", "gguf/llama-rope-yarn.gguf",
        "gguf/qwen3.gguf", "gguf/qwen2-00001-of-00003.gguf"),
    TestName);

class OneArtifactTest : public ArtifactModelTest {
 protected:
  OneArtifactTest() { options_.model_dir = testing::ReadGoldenModel("llama-gqa").dir; }

  std::string RefusalOf(const LoadModelOptions& options) {
    const auto model = LoadModel(WithRanks(options, 1, 1));
    EXPECT_FALSE(model.ok());
    return model.status().message();
  }

  LoadModelOptions options_;
};

TEST_F(OneArtifactTest, OfRandomWeights) {
  options_.load_format = LoadFormat::kDummy;
  options_.format = WeightFormat::kI8;
  ExpectSame(options_);
}

TEST_F(OneArtifactTest, OfSmoothedWeights) {
  const auto config = model::ReadModelDescription(options_.model_dir).value().config;
  model::Calibration calibration(config);
  for (int64_t layer = 0; layer < config.stack.num_layers; ++layer) {
    for (const model::Slot slot : model::kCalibratedSlots) {
      float peak = 0.01f;
      for (float& channel : calibration.Peaks(slot, layer)) channel = peak *= 1.1f;
    }
  }
  const fs::path file = dir_ / "calibration.json";
  ASSERT_TRUE(model::WriteCalibration(calibration, file).ok());
  options_.format = WeightFormat::kI8;
  options_.smoothing = SmoothingOptions{.calibration_file = file, .alpha = 0.5};
  ExpectSame(options_);
}

TEST_F(OneArtifactTest, WithoutVerificationItIsTheSame) {
  LoadModelOptions mapped;
  mapped.model_dir = Partitioned(options_);
  mapped.verify_artifact = false;
  EXPECT_TRUE(LogitsOf(mapped, 2) == LogitsOf(options_, 2));
}

// All bytes are verified once, whatever number of ranks shares them.
TEST_F(OneArtifactTest, DamageIsRefusedAtEveryNumberOfRanks) {
  const fs::path folder = Partitioned(options_);
  const fs::path file = folder / artifact::kDataName;
  const auto size = static_cast<int64_t>(fs::file_size(file));
  const auto flip = [&](int64_t offset) {
    std::fstream stream(file, std::ios::in | std::ios::out | std::ios::binary);
    stream.seekg(offset);
    const int byte = stream.get();
    stream.seekp(offset).put(static_cast<char>(byte ^ 1));
  };
  for (const auto& [num_ranks, num_stages] :
       {std::pair<int64_t, int64_t>{1, 1}, {2, 1}, {4, 1}, {1, 2}, {2, 2}}) {
    SCOPED_TRACE(::testing::Message() << num_ranks << " ranks, " << num_stages << " stages");
    LoadModelOptions mapped;
    mapped.model_dir = folder;
    uint64_t verified = 0;
    mapped.progress = [&](uint64_t done, uint64_t total) {
      EXPECT_EQ(total, static_cast<uint64_t>(size));
      verified = std::max(verified, done);
    };
    EXPECT_TRUE(LoadModel(WithRanks(mapped, num_ranks, num_stages)).ok());
    EXPECT_EQ(verified, static_cast<uint64_t>(size));
    for (const int64_t offset : {int64_t{0}, size / 3, size / 2, size - 1}) {
      flip(offset);
      const auto refused = LoadModel(WithRanks(mapped, num_ranks, num_stages));
      EXPECT_EQ(refused.status().code(), StatusCode::kCorrupt) << offset;
      EXPECT_NE(refused.status().message().find(file.string()), std::string::npos)
          << refused.status().message();
      flip(offset);
    }
  }
}

TEST_F(OneArtifactTest, RanksWithoutThreadsAreRefused) {
  const LoadModelOptions options = WithRanks(options_, 4, 1);
  // Their computing threads are there already.
  LoadModelOptions again = options;
  const auto first = LoadModel(options);
  ASSERT_TRUE(first.ok()) << first.status().message();
  again.backends = (*first)->backends();
  for (const int threads : {0, 1, 2}) {
    Status status;
    {
      const ScarceThreads scarce(threads);
      status = LoadModel(again).status();
    }
    EXPECT_EQ(status.code(), StatusCode::kResourceExhausted) << status.message();
    EXPECT_NE(status.message().find("cannot start thread"), std::string::npos) << status.message();
  }
  EXPECT_TRUE(LoadModel(again).ok()) << "once there are threads again";
}

TEST_F(OneArtifactTest, AnotherFormIsRefused) {
  options_.format = WeightFormat::kI8;
  LoadModelOptions mapped = options_;
  mapped.model_dir = Partitioned(options_);
  EXPECT_TRUE(LogitsOf(mapped, 1).error.empty()) << "the form that it has may be named";
  mapped.format = WeightFormat::kBF16;
  EXPECT_NE(RefusalOf(mapped).find("int8, but dtype and quantize ask for bf16"), std::string::npos)
      << RefusalOf(mapped);
  mapped.format.reset();
  mapped.table_format = WeightFormat::kF16;
  EXPECT_NE(RefusalOf(mapped).find("ask for f16"), std::string::npos);
  mapped.table_format.reset();
  mapped.smoothing = SmoothingOptions{};
  EXPECT_NE(RefusalOf(mapped).find("smoothquant"), std::string::npos);
  mapped.smoothing.reset();
  mapped.quantized_by = "awq";
  EXPECT_NE(RefusalOf(mapped).find("awq"), std::string::npos);
}

TEST_F(OneArtifactTest, AnArtifactIsNotPartitionedAgain) {
  options_.model_dir = Partitioned(options_);
  const auto again =
      Partition({.load = options_, .tokenizer = options_.model_dir, .output = dir_ / "again"});
  EXPECT_NE(again.status().message().find("is an artifact already"), std::string::npos);
}

// A manifest that is sound in itself, but whose matrices are in an unknown order.
TEST_F(OneArtifactTest, AnotherLayoutIsRefused) {
  const fs::path folder = Partitioned(options_);
  artifact::Manifest manifest = artifact::ReadManifest(folder).value();
  manifest.layout = "panels-64";
  manifest.packed_on = "some other processor";
  std::ofstream(folder / artifact::kManifestName) << artifact::FormatManifest(manifest);
  options_.model_dir = folder;
  const std::string error = RefusalOf(options_);
  EXPECT_NE(error.find("panels-64"), std::string::npos) << error;
  EXPECT_NE(error.find("some other processor"), std::string::npos) << error;
  EXPECT_NE(error.find("dray partition"), std::string::npos) << error;
}

// The bytes are the same whatever instruction set packs them, and every set reads them.
TEST_F(OneArtifactTest, EveryInstructionSetReadsIt) {
  for (const WeightForm& form : {WeightForm(WeightFormat::kBF16), WeightForm(WeightFormat::kI8),
                                 WeightForm(WeightFormat::kI4)}) {
    options_.format = form;
    options_.backend_options.cpu.isa = "portable";
    LoadModelOptions portable = options_, native = options_;
    native.backend_options.cpu.isa = "";
    const fs::path one = Partitioned(portable), other = Partitioned(native);
    EXPECT_EQ(artifact::ReadManifest(one)->data.checksums,
              artifact::ReadManifest(other)->data.checksums)
        << Name(form);
  }
}

TEST_F(OneArtifactTest, CancelledOrFailedItLeavesNothing) {
  std::stop_source stop;
  stop.request_stop();
  options_.stop = stop.get_token();
  const auto cancelled =
      Partition({.load = options_, .tokenizer = options_.model_dir, .output = dir_ / "out"});
  EXPECT_EQ(cancelled.status().code(), StatusCode::kCancelled);
  options_.stop = {};
  const auto failed =
      Partition({.load = options_, .tokenizer = dir_ / "nothing", .output = dir_ / "out"});
  EXPECT_FALSE(failed.ok());
  EXPECT_TRUE(fs::is_empty(dir_));
}

TEST_F(OneArtifactTest, OneThatIsThereIsUsedIfItIsOfTheSameFiles) {
  const fs::path source = dir_ / "source", output = dir_ / "out";
  fs::copy(options_.model_dir, source);
  options_.model_dir = source;
  const PartitionOptions partition = {.load = options_, .tokenizer = source, .output = output};
  ASSERT_TRUE(EnsureArtifact(partition).ok());
  const auto written = fs::last_write_time(output / artifact::kDataName);
  ASSERT_TRUE(EnsureArtifact(partition).ok());
  EXPECT_EQ(fs::last_write_time(output / artifact::kDataName), written);
  std::ofstream(source / "config.json", std::ios::app) << "\n";
  const Status changed = EnsureArtifact(partition);
  EXPECT_EQ(changed.code(), StatusCode::kInvalidArgument);
  EXPECT_NE(changed.message().find(output.string()), std::string::npos);
}

}  // namespace
}  // namespace dray::engine
