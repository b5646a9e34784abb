// Integer weights with groups and zero points: packed from floats and from integers, read back, and
// multiplied, against plain formulas.
#include <cmath>
#include <functional>
#include <numeric>

#include "kernels/testing/backend_test.h"

namespace dray::kernels {
namespace {

// Rows that are unpacked already.
class GivenRows : public QuantizedSource {
 public:
  explicit GivenRows(const QuantizedRows& all) : all_(all) {}

  QuantizedRows Unpack(std::span<const int64_t> rows, QuantizedBuffer& buffer) const override {
    buffer = {};
    for (const int64_t row : rows) {
      const auto append = [](auto& to, const auto* from, int64_t count) {
        to.insert(to.end(), from, from + count);
      };
      append(buffer.values, all_.values + row * all_.row_stride, all_.row_stride);
      append(buffer.scales, all_.scales + row * all_.groups(), all_.groups());
      if (all_.minimums == nullptr) continue;
      append(buffer.minimums, all_.minimums + row * all_.groups(), all_.groups());
    }
    QuantizedRows some = all_;
    some.rows = static_cast<int64_t>(rows.size());
    some.values = buffer.values.data();
    some.scales = buffer.scales.data();
    if (some.minimums != nullptr) some.minimums = buffer.minimums.data();
    return some;
  }

 private:
  QuantizedRows all_;
};

class GroupedTest : public BackendTest {
 protected:
  WeightMatrix Allocate(const MatrixSpec& spec) {
    return std::move(packer().AllocateMatrix(spec)).value();
  }
  // Rows [first, first + count) of `source` to the same rows of the matrix.
  void PackIntegers(WeightMatrix& matrix, const QuantizedRows& source, int64_t first,
                    int64_t count) {
    std::vector<int64_t> rows(static_cast<size_t>(count));
    std::iota(rows.begin(), rows.end(), first);
    ExpectOk(packer().PackQuantizedRows(matrix, first, GivenRows(source), rows));
  }
  void PackIntegers(WeightMatrix& matrix, const QuantizedRows& source) {
    PackIntegers(matrix, source, 0, source.rows);
  }
  std::vector<float> Unpack(const WeightMatrix& matrix) { return ReadMatrix(*backend_, matrix); }
};
DRAY_FOR_EVERY_BACKEND(GroupedTest);

WeightMatrix PackRandom(Backend& backend, const MatrixSpec& spec, uint32_t seed) {
  return PackFloats(backend, spec, RandomFloats(spec.rows * spec.cols, seed));
}

// Every form that has groups, as a matrix of rows x cols.
std::vector<MatrixSpec> Forms(int64_t rows, int64_t cols) {
  std::vector<MatrixSpec> specs;
  for (const WeightFormat format : {WeightFormat::kI4, WeightFormat::kI8}) {
    for (const int64_t group : {32, 64, 128}) {
      for (const ZeroPoint zero : {ZeroPoint::kNone, ZeroPoint::kPerGroup}) {
        specs.push_back({rows, cols, format, group, zero});
      }
    }
  }
  return specs;
}

std::string Describe(const MatrixSpec& spec) {
  return std::string(Name(spec.format)) + " in groups of " + std::to_string(spec.group) +
         (spec.zero == ZeroPoint::kNone ? "" : " with zero points");
}

int BitsOf(const MatrixSpec& spec) { return spec.format == WeightFormat::kI4 ? 4 : 8; }

// Random numbers with whole zero points and scales that f16 holds, as GPTQ and AWQ have them.
struct RandomQuantized {
  std::vector<uint8_t> values;
  std::vector<float> scales, minimums;
  QuantizedRows rows;

  RandomQuantized(const MatrixSpec& spec, int64_t group, uint32_t seed) {
    std::mt19937 random(seed);
    const int top = (1 << BitsOf(spec)) - 1;
    rows = {.rows = spec.rows,
            .cols = spec.cols,
            .row_stride = spec.cols + 3,
            .bits = BitsOf(spec),
            .group = group};
    values.resize(static_cast<size_t>(rows.rows * rows.row_stride));
    for (uint8_t& v : values) v = static_cast<uint8_t>(random() % static_cast<uint32_t>(top + 1));
    for (int64_t i = 0; i < rows.rows * rows.groups(); ++i) {
      scales.push_back(
          RoundTo(DType::kF16, 0.001f + 1e-6f * static_cast<float>(random() % 100000)));
      // Up to top + 1: the first version of GPTQ's files adds one.
      const auto zero = static_cast<float>(random() % static_cast<uint32_t>(top + 2));
      minimums.push_back(scales.back() * zero);
    }
    rows.values = values.data();
    rows.scales = scales.data();
    if (spec.zero == ZeroPoint::kPerGroup) rows.minimums = minimums.data();
  }

  std::vector<float> Floats() const {
    std::vector<float> floats(static_cast<size_t>(rows.rows * rows.cols));
    for (int64_t r = 0; r < rows.rows; ++r) rows.ToFloats(r, floats.data() + r * rows.cols);
    return floats;
  }
};

// Rows of random numbers, some of which have groups of zeros, of one number and of negative numbers.
constexpr int64_t kFloatRows = 45, kFloatCols = 301;
std::vector<float> SpecialFloats() {
  constexpr size_t kCols = kFloatCols;
  std::vector<float> values = RandomFloats(kFloatRows * kFloatCols, 1);
  for (size_t i = 0; i < 128; ++i) values[i] = 0;
  for (size_t i = kCols; i < kCols + 128; ++i) values[i] = 0.75f;
  for (size_t i = 2 * kCols; i < 2 * kCols + 128; ++i) values[i] -= 3.0f;
  return values;
}

TEST_P(GroupedTest, RoundsFloatsToTheNearestOf256Steps) {
  constexpr int64_t kRows = kFloatRows, kCols = kFloatCols;
  const std::vector<float> values = SpecialFloats();
  for (const MatrixSpec& spec : Forms(kRows, kCols)) {
    if (BitsOf(spec) == 4) continue;
    const WeightMatrix matrix = PackFloats(*backend_, spec, values);
    const std::vector<float> stored = Unpack(matrix);
    const bool has_zeros = spec.zero == ZeroPoint::kPerGroup;
    const auto steps = static_cast<float>((1 << BitsOf(spec)) - (has_zeros ? 1 : 0));
    for (int64_t r = 0; r < kRows; ++r) {
      for (int64_t begin = 0; begin < kCols; begin += spec.group) {
        const auto first = static_cast<size_t>(r * kCols + begin);
        const auto count = static_cast<size_t>(std::min(spec.group, kCols - begin));
        const std::span<const float> group(values.data() + first, count);
        const float least = std::min(0.0f, *std::min_element(group.begin(), group.end()));
        const float most = std::max(0.0f, *std::max_element(group.begin(), group.end()));
        const float range = has_zeros ? most - least : 2 * std::max(most, -least);
        // Half a step; without zero points the positive end lacks a step. The scale and the zero
        // point in f16 are off by 2^-11 of themselves, over at most all steps.
        const float half = range / steps * 0.5f + range * 0x1p-10f;
        for (size_t i = 0; i < count; ++i) {
          const float bound =
              has_zeros || std::abs(group[i]) < range / 2 - range / steps ? half : 2 * half;
          ASSERT_NEAR(stored[first + i], group[i], bound) << Describe(spec) << " at " << r;
        }
      }
    }
  }
}

double SquaredError(std::span<const float> group, const std::function<float(float)>& rounded) {
  double sum = 0;
  for (const float x : group) sum += std::pow(double{rounded(x)} - double{x}, 2);
  return sum;
}

// The error of 4 bits whose steps cover the whole group. With zero points these cover the range from the
// least weight to the largest.
double CoveringError(std::span<const float> group, ZeroPoint zero_point) {
  const float least = std::min(0.0f, *std::min_element(group.begin(), group.end()));
  const float most = std::max(0.0f, *std::max_element(group.begin(), group.end()));
  const bool has_zeros = zero_point == ZeroPoint::kPerGroup;
  const float scale = RoundTo(DType::kF16, has_zeros ? (most - least) / 15 : PeakOf(group) / -8.0f);
  if (scale == 0) return SquaredError(group, [](float) { return 0.0f; });
  const float zero = has_zeros ? std::nearbyint(-least / (most - least) * 15) : 8.0f;
  return SquaredError(group, [&](float x) {
    return (std::clamp(std::nearbyint(x / scale) + zero, 0.0f, 15.0f) - zero) * scale;
  });
}

TEST_P(GroupedTest, FourBitsErrLessThanIfTheyCoveredAllWeights) {
  constexpr int64_t kRows = kFloatRows, kCols = kFloatCols;
  const std::vector<float> values = SpecialFloats();
  for (const MatrixSpec& spec : Forms(kRows, kCols)) {
    if (BitsOf(spec) == 8) continue;
    const std::vector<float> stored = Unpack(PackFloats(*backend_, spec, values));
    double sum = 0, covering_sum = 0;
    for (int64_t at = 0; at < kRows * kCols; at += std::min(spec.group, kCols - at % kCols)) {
      const auto count = static_cast<size_t>(std::min(spec.group, kCols - at % kCols));
      const auto group = std::span(values).subspan(static_cast<size_t>(at), count);
      size_t i = static_cast<size_t>(at);
      const double error = SquaredError(group, [&](float) { return stored[i++]; });
      const double covering = CoveringError(group, spec.zero);
      // The kernels add the squares in f32.
      EXPECT_LE(error, covering * 1.00001) << Describe(spec) << " at " << at;
      sum += error;
      covering_sum += covering;
    }
    EXPECT_LT(sum, covering_sum) << Describe(spec);
  }
}

// A zero point between two integers would move every small weight of a group with a large one.
TEST_P(GroupedTest, ZeroStaysZero) {
  std::vector<float> values = RandomFloats(20 * 128, 11, 0.01f);
  for (size_t i = 0; i < values.size(); i += 2) values[i] = 0;
  for (size_t i = 5; i < values.size(); i += 128) values[i] = 1.0f;
  for (size_t i = 77; i < values.size(); i += 128) values[i] = -0.7f;
  for (const MatrixSpec& spec : Forms(20, 128)) {
    const std::vector<float> stored = Unpack(PackFloats(*backend_, spec, values));
    for (size_t i = 0; i < values.size(); ++i) {
      if (values[i] == 0) {
        EXPECT_EQ(stored[i], 0.0f) << Describe(spec);
      }
    }
  }
}

TEST_P(GroupedTest, IntegersOfACheckpointComeBackExactly) {
  for (const auto& [rows, cols] : {std::pair<int64_t, int64_t>{1, 1}, {70, 97}, {64, 256}}) {
    for (const MatrixSpec& spec : Forms(rows, cols)) {
      // The checkpoint's groups may be larger than the kernel's, up to whole rows.
      for (const int64_t group : {spec.group, 2 * spec.group, int64_t{1000}}) {
        const RandomQuantized source(spec, group, 2);
        WeightMatrix matrix = Allocate(spec);
        PackIntegers(matrix, source.rows);
        EXPECT_EQ(Unpack(matrix), source.Floats()) << Describe(spec) << " from " << group;
      }
    }
  }
}

TEST_P(GroupedTest, SymmetricIntegersFitAMatrixWithZeroPoints) {
  for (const WeightFormat format : {WeightFormat::kI4, WeightFormat::kI8}) {
    const RandomQuantized source({50, 100, format, 32}, 32, 3);
    WeightMatrix matrix = Allocate({50, 100, format, 32, ZeroPoint::kPerGroup});
    PackIntegers(matrix, source.rows);
    EXPECT_EQ(Unpack(matrix), source.Floats());
  }
}

TEST_P(GroupedTest, WholeRowsOfBytesComeBackExactly) {
  const MatrixSpec spec = {70, 97, WeightFormat::kI8};
  const RandomQuantized source(spec, 97, 4);
  WeightMatrix matrix = Allocate(spec);
  PackIntegers(matrix, source.rows);
  EXPECT_EQ(Unpack(matrix), source.Floats());
}

TEST_P(GroupedTest, PanelsFillFromManyParts) {
  constexpr int64_t kCols = 77;
  for (const MatrixSpec& spec : Forms(180, kCols)) {
    const RandomQuantized source(spec, spec.group, 5);
    WeightMatrix matrix = Allocate(spec);
    for (int64_t part = 8; part >= 0; --part) {  // of 20 rows, in any order
      PackIntegers(matrix, source.rows, part * 20, 20);
    }
    EXPECT_EQ(Unpack(matrix), source.Floats()) << Describe(spec);
  }
}

// As many as three panels hold, so that threads share them.
TEST_P(GroupedTest, RowsOfASourceGoWhereTheListSays) {
  constexpr int64_t kRows = 90, kCols = 77, kTaken = 70, kFirst = 13;
  for (const MatrixSpec& spec : Forms(kRows, kCols)) {
    const RandomQuantized source(spec, spec.group, 7);
    WeightMatrix matrix = Allocate(spec);
    std::vector<int64_t> rows(kTaken);
    for (int64_t i = 0; i < kTaken; ++i) rows[static_cast<size_t>(i)] = i * 7 % kRows;
    ExpectOk(packer().PackQuantizedRows(matrix, kFirst, GivenRows(source.rows), rows));
    std::vector<float> expected(kRows * kCols), floats = source.Floats();
    for (int64_t i = 0; i < kTaken; ++i) {
      std::copy_n(floats.begin() + rows[static_cast<size_t>(i)] * kCols, kCols,
                  expected.begin() + (kFirst + i) * kCols);
    }
    EXPECT_EQ(Unpack(matrix), expected) << Describe(spec);
  }
}

// As GGUF has them: minimums that are no multiple of the scale, and groups of one number.
TEST_P(GroupedTest, AnyMinimumIsHeldToTheRoundingOfF16) {
  constexpr int64_t kRows = 40, kCols = 96;
  const MatrixSpec spec = {kRows, kCols, WeightFormat::kI4, 32, ZeroPoint::kPerGroup};
  RandomQuantized source(spec, 32, 6);
  std::mt19937 random(7);
  std::uniform_real_distribution<float> uniform(-0.5f, 1.0f);
  for (float& minimum : source.minimums) minimum = uniform(random);
  source.scales[1] = 0;
  source.scales[2] = 0;
  source.minimums[2] = 0;
  source.scales[3] = 1e-7f;
  WeightMatrix matrix = Allocate(spec);
  PackIntegers(matrix, source.rows);
  const std::vector<float> stored = Unpack(matrix), exact = source.Floats();
  for (size_t i = 0; i < exact.size(); ++i) {
    const size_t group = i / 32;
    const float magnitude = std::abs(source.minimums[group]) + 15 * source.scales[group];
    // f16 rounds scale and zero point by 2^-11 of each; below 2^-14 a scale is off by 2^-25.
    EXPECT_NEAR(stored[i], exact[i], magnitude * 0x1.1p-10f + 15 * 0x1p-25f) << i;
  }
}

TEST_P(GroupedTest, IntegersThatTheFormatLacksArePackedAsFloats) {
  constexpr int64_t kRows = 37, kCols = 131;
  const MatrixSpec quantized = {kRows, kCols, WeightFormat::kI4, 32, ZeroPoint::kPerGroup};
  const RandomQuantized source(quantized, 32, 8);
  const std::vector<float> floats = source.Floats();
  for (const MatrixSpec& spec : {MatrixSpec{kRows, kCols, WeightFormat::kBF16},
                                 {kRows, kCols, WeightFormat::kI8},
                                 {kRows, kCols, WeightFormat::kI4},
                                 {kRows, kCols, WeightFormat::kI8, 32}}) {
    EXPECT_FALSE(KeepsIntegers(spec, source.rows));
    WeightMatrix matrix = Allocate(spec);
    const WeightMatrix expected = PackFloats(*backend_, spec, floats);
    PackIntegers(matrix, source.rows);
    EXPECT_EQ(Unpack(matrix), Unpack(expected)) << Describe(spec);
  }
}

TEST_P(GroupedTest, LinearMatchesDoublePrecisionOnOddShapes) {
  struct Case {
    int64_t rows, out, in;
  };
  for (const Case& c : {Case{1, 75, 83},
                        {2, 33, 300},
                        {5, 1, 1},
                        {6, 40, 129},
                        {7, 70, 64},
                        {13, 31, 257},
                        {29, 75, 500}}) {
    const std::vector<float> x = RandomFloats(c.rows * c.in, 9);
    for (const MatrixSpec& spec : Forms(c.out, c.in)) {
      const WeightMatrix matrix = PackRandom(*backend_, spec, 10);
      const std::vector<float> weights = Unpack(matrix);
      const std::vector<float> out = RunLinear(*backend_, matrix, x, c.rows);
      for (int64_t r = 0; r < c.rows; ++r) {
        const std::vector<float> rounded =
            RoundedActivations(spec.format, {x.data() + r * c.in, static_cast<size_t>(c.in)});
        for (int64_t n = 0; n < c.out; ++n) {
          double sum = 0, magnitude = 0;
          for (int64_t k = 0; k < c.in; ++k) {
            const double activation = rounded[static_cast<size_t>(k)];
            sum += activation * weights[static_cast<size_t>(n * c.in + k)];
            // Weights are below 1, and so is the zero point times its scale.
            magnitude += 2 * std::abs(activation);
          }
          // Of each group a few roundings relative to its part of the magnitude, then one for each
          // addition to partial sums that are at most the whole.
          const double tolerance = kRounding * (static_cast<double>(c.in) / 32 + 6) * magnitude;
          ASSERT_NEAR(out[static_cast<size_t>(r * c.out + n)], sum, tolerance)
              << Describe(spec) << ": " << c.rows << " x " << c.in << " at " << r << "," << n;
        }
      }
    }
  }
}

// Products of bytes saturate in pairs on some processors, and their sums in 16 bits may wrap around.
TEST_P(GroupedTest, NumbersAtTheirExtremesDoNotOverflow) {
  constexpr int64_t kOut = 32, kIn = 4096;
  std::vector<MatrixSpec> specs = Forms(kOut, kIn);
  specs.push_back({kOut, kIn, WeightFormat::kI8});
  for (const MatrixSpec& spec : specs) {
    const int64_t group = spec.group > 0 ? spec.group : kIn;
    const int top = (1 << BitsOf(spec)) - 1;
    const double half = spec.zero == ZeroPoint::kPerGroup ? 0 : (top + 1) / 2;
    const auto groups = static_cast<size_t>(kOut * kIn / group);
    const std::vector<float> scales(groups, 0.5f), minimums(groups, 0.0f);
    for (const int value : {0, top}) {
      const std::vector<uint8_t> values(kOut * kIn, static_cast<uint8_t>(value));
      QuantizedRows source = {values.data(), kOut, kIn, kIn, BitsOf(spec), group, scales.data()};
      if (spec.zero == ZeroPoint::kPerGroup) source.minimums = minimums.data();
      WeightMatrix matrix = Allocate(spec);
      PackIntegers(matrix, source);
      // Inputs of 1, of -1, and of both in turn.
      const auto input = [](int64_t row, int64_t col) {
        return row % 3 == 0 || (row % 3 == 2 && col % 2 == 0) ? 1.0f : -1.0f;
      };
      for (const int64_t rows : {1, 3, 40}) {
        std::vector<float> x(static_cast<size_t>(rows * kIn));
        for (size_t i = 0; i < x.size(); ++i) {
          x[i] = input(static_cast<int64_t>(i) / kIn, static_cast<int64_t>(i) % kIn);
        }
        const std::vector<float> out = RunLinear(*backend_, matrix, x, rows);
        for (size_t i = 0; i < out.size(); ++i) {
          const auto row = static_cast<int64_t>(i) / kOut;
          const double inputs = row % 3 == 2 ? 0 : input(row, 0) * kIn;
          EXPECT_NEAR(out[i], inputs * 0.5 * (value - half), 1e-5 * kIn * top)
              << Describe(spec) << " of " << value << ", " << rows << " rows";
        }
      }
    }
  }
}

TEST_P(GroupedTest, ARowIsTheSameBitsInAnyBatchAndOnAnyThreads) {
  constexpr int64_t kRows = 31, kOut = 101, kIn = 403;
  const std::vector<float> x = RandomFloats(kRows * kIn, 11);
  for (const MatrixSpec& spec : Forms(kOut, kIn)) {
    const WeightMatrix matrix = PackRandom(*backend_, spec, 12);
    const std::vector<float> all = RunLinear(*backend_, matrix, x, kRows);
    for (int64_t rows = 1; rows <= 14; ++rows) {
      const int64_t first = rows * 7 % (kRows - rows);
      const std::vector<float> some = RunLinear(
          *backend_, matrix, std::span(x).subspan(static_cast<size_t>(first * kIn)), rows);
      ASSERT_TRUE(SameBits(some, {all.data() + first * kOut, some.size()}))
          << Describe(spec) << ", " << rows << " rows";
    }
    const auto other = MakeTestBackend(GetParam(), 3);
    const WeightMatrix same = PackRandom(*other, spec, 12);
    EXPECT_TRUE(SameBits(RunLinear(*other, same, x, kRows), all)) << Describe(spec);
  }
}

TEST_P(GroupedTest, ImpossibleFormsAreErrors) {
  for (const MatrixSpec& spec : {MatrixSpec{8, 8, WeightFormat::kI4, 48},
                                 {8, 8, WeightFormat::kI8, 256},
                                 {8, 8, WeightFormat::kBF16, 64},
                                 {8, 8, WeightFormat::kI4, -32},
                                 {8, 8, WeightFormat::kI8, 0, ZeroPoint::kPerGroup}}) {
    const auto matrix = packer().AllocateMatrix(spec);
    ASSERT_FALSE(matrix.ok()) << Describe(spec);
    EXPECT_EQ(matrix.status().code(), StatusCode::kUnsupported);
  }
}

}  // namespace
}  // namespace dray::kernels
