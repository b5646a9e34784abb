// What the ranks of a tensor-parallel group load, against the weights of the whole model: for every
// family, format and kind of checkpoint, the parts put together are the whole.
#include <gtest/gtest.h>

#include <algorithm>
#include <filesystem>
#include <map>
#include <string>
#include <utility>
#include <vector>

#include "base/testing/source_dir.h"
#include "kernels/backend.h"
#include "kernels/make_backend.h"
#include "kernels/testing/device_array.h"
#include "model/config/local_stack.h"
#include "model/describe/model_files.h"
#include "model/weights/balance/balance.h"
#include "model/weights/calibration.h"
#include "model/weights/dummy_weights.h"
#include "model/weights/loader.h"
#include "parallel/shard.h"
#include "testing/golden_model.h"

namespace dray::model {
namespace {

namespace fs = std::filesystem;
using kernels::WeightForm;
using kernels::WeightFormat;
using kernels::WeightMatrix;
using kernels::ZeroPoint;
using parallel::Rank;
using parallel::Slice;

const WeightForm kForms[] = {WeightFormat::kF32,
                             WeightFormat::kBF16,
                             WeightFormat::kI8,
                             WeightFormat::kI4,
                             {WeightFormat::kI4, 32, ZeroPoint::kPerGroup},
                             {WeightFormat::kI8, 32}};
constexpr int64_t kWorlds[] = {2, 3, 4};

kernels::Backend& TestBackend() {
  static const auto backend = [] {
    kernels::BackendOptions options;
    options.cpu.num_threads = 2;
    return kernels::MakeBackend(options).value();
  }();
  return *backend;
}

std::vector<float> Floats(const WeightMatrix& matrix) {
  return kernels::ReadMatrix(TestBackend(), matrix);
}

std::vector<float> ToHost(const float* vector, size_t count) {
  std::vector<float> values(count);
  const Status copied =
      TestBackend().memory().CopyToHost(values.data(), vector, count * sizeof(float));
  EXPECT_TRUE(copied.ok()) << copied.ToString();
  return values;
}

// The position of the whole axis for each local one; -1: padding.
using Positions = std::vector<int64_t>;

void Append(const Slice& slice, int64_t first, Positions& positions) {
  const size_t begin = positions.size();
  positions.resize(begin + static_cast<size_t>(slice.local_size), -1);
  for (const parallel::Piece& piece : slice.pieces) {
    for (int64_t i = 0; i < piece.count; ++i) {
      positions[begin + static_cast<size_t>(piece.local + i)] = first + piece.global + i;
    }
  }
}

// Written out slot by slot, so that a wrong rule cannot hide behind the tables of the families.
Positions RowsOf(Slot slot, int64_t whole_rows, const ModelConfig& config, Rank rank) {
  const StackConfig& stack = config.stack;
  Positions rows;
  switch (slot) {
    case Slot::kTokenEmbedding:
    case Slot::kHead:
    case Slot::kHeadBias:
      Append(parallel::CutVocabulary(config.vocab_size, rank), 0, rows);
      break;
    case Slot::kQkv:
    case Slot::kQkvBias: {
      const auto heads = parallel::CutHeads(stack.num_heads, stack.num_kv_heads, rank);
      const Slice keys = Widen(heads.key_value, stack.head_dim);
      Append(Widen(heads.query, stack.head_dim), 0, rows);
      Append(keys, stack.query_width(), rows);
      Append(keys, stack.query_width() + stack.kv_width(), rows);
      break;
    }
    case Slot::kFfnIn:
    case Slot::kFfnInBias:
      Append(parallel::CutFeatures(stack.ffn, rank), 0, rows);
      if (stack.gated) Append(parallel::CutFeatures(stack.ffn, rank), stack.ffn, rows);
      break;
    case Slot::kAttentionOutBias:
    case Slot::kFfnOutBias:
      Append(parallel::WholeOnFirst(stack.hidden, rank), 0, rows);
      break;
    default:
      Append(parallel::Whole(whole_rows), 0, rows);
  }
  return rows;
}

// A matrix has no columns for padding, unless it has nothing else.
Positions ColsOf(Slot slot, int64_t whole_cols, const ModelConfig& config, Rank rank) {
  const StackConfig& stack = config.stack;
  Positions cols;
  if (slot == Slot::kAttentionOut) {
    const auto heads = parallel::CutHeads(stack.num_heads, stack.num_kv_heads, rank);
    Append(Widen(heads.query, stack.head_dim), 0, cols);
  } else if (slot == Slot::kFfnOut) {
    Append(parallel::CutFeatures(stack.ffn, rank), 0, cols);
  } else {
    Append(parallel::Whole(whole_cols), 0, cols);
  }
  Positions real;
  std::copy_if(cols.begin(), cols.end(), std::back_inserter(real),
               [](int64_t at) { return at >= 0; });
  return real.empty() ? cols : real;
}

// Rows and columns of the whole matrix `values`, which has `whole_cols`; padding is zero.
std::vector<float> Pick(const std::vector<float>& values, int64_t whole_cols, const Positions& rows,
                        const Positions& cols) {
  std::vector<float> picked;
  for (const int64_t row : rows) {
    for (const int64_t col : cols) {
      const bool is_padding = row < 0 || col < 0;
      picked.push_back(is_padding ? 0.0f : values[static_cast<size_t>(row * whole_cols + col)]);
    }
  }
  return picked;
}

// What becomes of `values` in a matrix of that form.
std::vector<float> Packed(const std::vector<float>& values, const kernels::MatrixSpec& spec) {
  kernels::Packer& packer = TestBackend().packer();
  WeightMatrix matrix = packer.AllocateMatrix(spec).value();
  const Status packed = packer.PackRows(matrix, 0,
                                        {.data = values.data(),
                                         .dtype = DType::kF32,
                                         .rows = spec.rows,
                                         .cols = spec.cols,
                                         .row_stride = spec.cols});
  EXPECT_TRUE(packed.ok()) << packed.ToString();
  return Floats(matrix);
}

// One kind of weights to be loaded for any rank and in any format.
class WeightsSource {
 public:
  virtual ~WeightsSource() = default;
  virtual const ModelConfig& config() const = 0;
  virtual Weights Load(const LoadOptions& options) const = 0;
};

class CheckpointSource : public WeightsSource {
 public:
  explicit CheckpointSource(const fs::path& path)
      : files_(OpenModelFiles(path).value()),
        plan_(PlanTensors(files_.description, files_.checkpoint).value()) {}

  const ModelConfig& config() const override { return files_.description.config; }
  const ModelDescription& description() const { return files_.description; }
  const LoadPlan& plan() const { return plan_; }
  Weights Load(const LoadOptions& options) const override {
    return LoadWeights(files_.description, plan_, files_.checkpoint, TestBackend(), options)
        .value();
  }

 private:
  ModelFiles files_;
  LoadPlan plan_;
};

class DummySource : public WeightsSource {
 public:
  explicit DummySource(const fs::path& path) : description_(DescribeModelFiles(path).value()) {}

  const ModelConfig& config() const override { return description_.config; }
  Weights Load(const LoadOptions& options) const override {
    constexpr uint64_t kSeed = 7;
    return MakeDummyWeights(description_, TestBackend(), options, kSeed).value();
  }

 private:
  ModelDescription description_;
};

// Compares what ranks load with `options` to the whole model.
class RankComparison {
 public:
  RankComparison(const WeightsSource& source, const LoadOptions& options)
      : source_(source), options_(options), whole_(source.Load(options)) {}

  void Expect(Rank rank) const {
    SCOPED_TRACE(::testing::Message() << "rank " << rank.index << " of " << rank.world);
    LoadOptions options = options_;
    options.rank = rank;
    const Weights local = source_.Load(options);
    int64_t num_weights = 0;
    whole_.ForEach([&](Slot slot, int64_t layer, int64_t elements, size_t) {
      SCOPED_TRACE(::testing::Message() << Name(slot) << " of layer " << layer);
      ++num_weights;
      if (IsMatrixSlot(slot)) {
        ExpectMatrix(local, slot, layer, rank);
      } else {
        ExpectVector(local, slot, layer, rank, elements);
      }
    });
    local.ForEach([&](Slot, int64_t, int64_t, size_t) { --num_weights; });
    EXPECT_EQ(num_weights, 0);
    ExpectSizes(local.stack(), LocalStack(source_.config().stack, rank));
  }

 private:
  void ExpectVector(const Weights& local, Slot slot, int64_t layer, Rank rank,
                    int64_t whole_elements) const {
    ASSERT_NE(local.Vector(slot, layer), nullptr);
    const Positions rows = RowsOf(slot, whole_elements, source_.config(), rank);
    const auto whole = ToHost(whole_.Vector(slot, layer), static_cast<size_t>(whole_elements));
    const auto part = ToHost(local.Vector(slot, layer), rows.size());
    EXPECT_EQ(part, Pick(whole, 1, rows, {0}));
  }

  void ExpectMatrix(const Weights& local, Slot slot, int64_t layer, Rank rank) const {
    const WeightMatrix& whole = *whole_.Matrix(slot, layer);
    const std::vector<float>& whole_numbers = NumbersOf(whole_, whole_numbers_, slot, layer);
    const WeightMatrix* part = local.Matrix(slot, layer);
    ASSERT_NE(part, nullptr);
    const Positions rows = RowsOf(slot, whole.rows(), source_.config(), rank);
    const Positions cols = ColsOf(slot, whole.cols(), source_.config(), rank);
    ASSERT_EQ(part->rows(), static_cast<int64_t>(rows.size()));
    ASSERT_EQ(part->cols(), static_cast<int64_t>(cols.size()));
    const std::vector<float> numbers = Pick(whole_numbers, whole.cols(), rows, cols);
    if (IsInt8Rows(*part) && !IsInt8Rows(whole)) {
      // The rank's columns begin where no group does. If all of them are of one group, its scale is that of
      // the rows; else the numbers are rounded again.
      const std::vector<float> got = Floats(*part);
      EXPECT_TRUE(got == numbers || got == Packed(numbers, part->spec()));
    } else {
      EXPECT_EQ(Floats(*part), numbers);
    }
  }

  static bool IsInt8Rows(const WeightMatrix& matrix) {
    return matrix.format() == WeightFormat::kI8 && matrix.spec().group == 0;
  }

  // The matrices fit the rank's own stack.
  static void ExpectSizes(const StackWeights& weights, const StackConfig& stack) {
    for (int64_t layer = 0; layer < stack.num_layers; ++layer) {
      EXPECT_EQ(weights.Matrix(Slot::kQkv, layer)->rows(), stack.qkv_width());
      EXPECT_LE(weights.Matrix(Slot::kAttentionOut, layer)->cols(), stack.query_width());
      EXPECT_EQ(weights.Matrix(Slot::kFfnIn, layer)->rows(),
                stack.gated ? 2 * stack.ffn : stack.ffn);
      EXPECT_EQ(weights.Matrix(Slot::kFfnOut, layer)->cols(), stack.ffn);
    }
  }

  using Numbers = std::map<std::pair<Slot, int64_t>, std::vector<float>>;

  static const std::vector<float>& NumbersOf(const Weights& weights, Numbers& numbers, Slot slot,
                                             int64_t layer) {
    std::vector<float>& found = numbers[{slot, layer}];
    if (found.empty()) found = Floats(*weights.Matrix(slot, layer));
    return found;
  }

  const WeightsSource& source_;
  LoadOptions options_;
  Weights whole_;
  mutable Numbers whole_numbers_;
};

void ExpectAllRanks(const WeightsSource& source, const LoadOptions& options) {
  const RankComparison comparison(source, options);
  comparison.Expect({});
  for (const int64_t world : kWorlds) {
    for (int64_t index = 0; index < world; ++index) comparison.Expect({index, world});
  }
}

class RankWeightsTest : public ::testing::TestWithParam<std::string> {};

TEST_P(RankWeightsTest, FloatsInEveryForm) {
  const CheckpointSource source(testing::ReadGoldenModel(GetParam()).dir);
  for (const WeightForm& form : kForms) {
    SCOPED_TRACE(Name(form));
    ExpectAllRanks(source, {.format = form});
  }
}

TEST_P(RankWeightsTest, DummyWeights) {
  const DummySource source(testing::ReadGoldenModel(GetParam()).dir);
  for (const WeightFormat format : {WeightFormat::kF32, WeightFormat::kI8}) {
    ExpectAllRanks(source, {.format = format});
  }
}

std::string TestName(const ::testing::TestParamInfo<std::string>& info) {
  std::string name = info.param;
  std::replace_if(
      name.begin(), name.end(), [](unsigned char c) { return std::isalnum(c) == 0; }, '_');
  return name;
}

INSTANTIATE_TEST_SUITE_P(Families, RankWeightsTest, ::testing::ValuesIn(testing::GoldenVariants()),
                         TestName);

// Folders of packed layers, and GGUF files with whole models.
std::vector<std::string> IntegerCheckpoints() {
  const fs::path golden = SourceDir() / "tests/golden";
  std::vector<std::string> paths;
  for (const auto& entry : fs::directory_iterator(golden / "quantized")) {
    if (entry.is_directory()) paths.push_back("quantized/" + entry.path().filename().string());
  }
  for (const auto& entry : fs::directory_iterator(golden / "gguf")) {
    const std::string name = entry.path().filename().string();
    const bool is_later_part =
        name.find("-00002-of") != std::string::npos || name.find("-00003-of") != std::string::npos;
    if (name.starts_with("tokenizer") || name == "blocks.gguf" || is_later_part) continue;
    paths.push_back("gguf/" + name + (entry.is_directory() ? "/model.gguf" : ""));
  }
  std::sort(paths.begin(), paths.end());
  return paths;
}

class RankIntegersTest : public ::testing::TestWithParam<std::string> {
 protected:
  CheckpointSource source_{SourceDir() / "tests/golden" / GetParam()};
};

TEST_P(RankIntegersTest, KeptAsTheyAre) {
  ExpectAllRanks(source_, {.format = AutomaticFormat(source_.plan(), TestBackend().packer()),
                           .integers = StoredIntegers::kKeep});
}

TEST_P(RankIntegersTest, Converted) {
  for (const WeightFormat format : {WeightFormat::kF32, WeightFormat::kBF16}) {
    ExpectAllRanks(source_, {.format = format});
  }
}

INSTANTIATE_TEST_SUITE_P(Checkpoints, RankIntegersTest, ::testing::ValuesIn(IntegerCheckpoints()),
                         TestName);

// Factors of rows, columns and norms, and the steps of inputs.
class RankBalanceTest : public ::testing::TestWithParam<std::string> {
 protected:
  void ExpectBalanced(const WeightForm& form, const BalanceOptions& options) {
    const auto balance = Balance::Make(source_.description(), source_.plan(), options).value();
    ExpectAllRanks(source_, {.format = form, .balance = balance.get()});
  }

  CheckpointSource source_{testing::ReadGoldenModel(GetParam()).dir};
};

TEST_P(RankBalanceTest, EveryRankHasItsPartOfTheBalancedModel) {
  ExpectBalanced(WeightFormat::kI8, {.layers = WeightFormat::kI8, .tables = WeightFormat::kI8});
}

TEST_P(RankBalanceTest, MatricesAndNormsAreSmoothedAlike) {
  const ModelConfig& config = source_.config();
  Calibration calibration(config);
  for (int64_t layer = 0; layer < config.stack.num_layers; ++layer) {
    for (const Slot slot : kCalibratedSlots) {
      float peak = 0.01f;
      for (float& channel : calibration.Peaks(slot, layer)) channel = peak *= 1.1f;
    }
  }
  ExpectBalanced(WeightFormat::kF32, {.layers = WeightFormat::kI8, .calibration = &calibration});
}

INSTANTIATE_TEST_SUITE_P(Families, RankBalanceTest, ::testing::ValuesIn(testing::GoldenVariants()),
                         TestName);

}  // namespace
}  // namespace dray::model
