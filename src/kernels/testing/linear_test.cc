// Linear against sums in double precision, and the bitwise independence that the engine relies on.
#include <cmath>
#include <random>
#include <span>

#include "kernels/testing/backend_test.h"

namespace dray::kernels {
namespace {

class LinearTest : public BackendTest {};
DRAY_FOR_EVERY_BACKEND(LinearTest);

double ReferenceActivation(Activation activation, double x) {
  switch (activation) {
    case Activation::kNone:
      return x;
    case Activation::kRelu:
      return std::max(0.0, x);
    case Activation::kGelu:
      return 0.5 * x * (1.0 + std::erf(x / std::sqrt(2.0)));
    case Activation::kGeluTanh:
      return 0.5 * x * (1.0 + std::tanh(std::sqrt(2.0 / M_PI) * (x + 0.044715 * x * x * x)));
    case Activation::kSilu:
      return x / (1.0 + std::exp(-x));
    case Activation::kTanh:
      return std::tanh(x);
  }
  return x;
}

struct Case {
  int64_t rows = 1, out = 1, in = 1;
  WeightForm form;
  Activation activation = Activation::kNone;
  WriteMode mode = WriteMode::kOverwrite;
  bool with_bias = true;
  float input_scale = 0.0f;
};

// Runs one case with strides wider than the rows, so that neighbours show if they are touched.
void Check(Backend& backend, const Case& c) {
  MatrixSpec spec = MatrixSpec::Of(c.out, c.in, c.form);
  spec.input_scale = c.input_scale;
  const TestMatrix matrix = MakeMatrix(backend, spec, 1);
  const int64_t x_stride = c.in + 3, out_stride = c.out + 5;
  const std::vector<float> x = RandomFloats(c.rows * x_stride, 2);
  const std::vector<float> bias = RandomFloats(c.out, 3);
  const std::vector<float> before = RandomFloats(c.rows * out_stride, 4);
  const DeviceArray<float> device_x(backend, x), device_bias(backend, bias);
  const DeviceArray<float> device_out(backend, before);
  backend.ops().Linear({.weight = &matrix.packed,
                        .x = Rows(device_x, x_stride),
                        .rows = c.rows,
                        .bias = c.with_bias ? device_bias.data() : nullptr,
                        .activation = c.activation,
                        .mode = c.mode,
                        .out = Rows(device_out, out_stride)});
  const std::vector<float> out = device_out.ToHost();

  for (int64_t r = 0; r < c.rows; ++r) {
    const std::vector<float> rounded = RoundedActivations(
        c.form, {x.data() + r * x_stride, static_cast<size_t>(c.in)}, c.input_scale);
    for (int64_t n = 0; n < out_stride; ++n) {
      const size_t at = static_cast<size_t>(r * out_stride + n);
      if (n >= c.out) {
        ASSERT_EQ(out[at], before[at]) << "touched behind row " << r;
        continue;
      }
      double sum = 0, magnitude = 0;
      for (int64_t k = 0; k < c.in; ++k) {
        const double product = double{rounded[static_cast<size_t>(k)]} *
                               matrix.values[static_cast<size_t>(n * c.in + k)];
        sum += product;
        magnitude += std::abs(product);
      }
      if (c.with_bias) sum += bias[static_cast<size_t>(n)];
      double expected = ReferenceActivation(c.activation, sum);
      if (c.mode == WriteMode::kAdd) expected += before[at];
      // Each of K additions and products rounds once, relative to a partial sum that is at most
      // `magnitude`; activations stretch that by at most 1.13 and add some roundings of their own.
      const double tolerance =
          kRounding * (1.2 * (2.0 * static_cast<double>(c.in) + 2) * magnitude +
                       16 * (std::abs(sum) + std::abs(expected) + 1));
      ASSERT_NEAR(out[at], expected, tolerance)
          << Name(c.form) << " rows " << c.rows << " out " << c.out << " in " << c.in << " at " << r
          << "," << n;
    }
  }
}

TEST_P(LinearTest, MatchesDoublePrecisionOnOddShapes) {
  for (const WeightForm& form : kAllForms) {
    for (const int64_t rows : {1, 2, 3, 5, 11, 12, 13, 29}) Check(*backend_, {rows, 75, 83, form});
    Check(*backend_, {1, 1, 1, form});
    Check(*backend_, {4, 419, 31, form});
    Check(*backend_, {7, 33, 1, form});
    Check(*backend_, {513, 40, 50, form});
  }
}

TEST_P(LinearTest, AppliesBiasActivationAndAdd) {
  for (const Activation activation :
       {Activation::kNone, Activation::kRelu, Activation::kGelu, Activation::kGeluTanh,
        Activation::kSilu, Activation::kTanh}) {
    for (const WriteMode mode : {WriteMode::kOverwrite, WriteMode::kAdd}) {
      for (const bool with_bias : {false, true}) {
        Check(*backend_, {3, 45, 64, WeightFormat::kF32, activation, mode, with_bias});
        Check(*backend_, {3, 45, 64, WeightFormat::kI8, activation, mode, with_bias});
        Check(*backend_, {3, 45, 64, kInt8BesideFloats, activation, mode, with_bias});
      }
    }
  }
}

// Inputs are from -1 to 1: some are clamped, then none, then all become small integers.
TEST_P(LinearTest, OneStepForAllRows) {
  for (const float input_scale : {0.5f / 127, 1.0f / 127, 3.0f / 127}) {
    for (const WeightFormat format : {WeightFormat::kI8, WeightFormat::kI4}) {
      Case c = {.rows = 13, .out = 75, .in = 83, .form = format};
      c.input_scale = input_scale;
      Check(*backend_, c);
    }
  }
}

TEST_P(LinearTest, IntegersAtTheirExtremesDoNotSaturate) {
  constexpr int64_t kIn = 4096;
  for (const WeightFormat format : {WeightFormat::kI8, WeightFormat::kI4}) {
    for (const float sign : {1.0f, -1.0f}) {
      const WeightMatrix matrix =
          PackFloats(*backend_, {32, kIn, format}, std::vector<float>(32 * kIn, sign));
      for (const int64_t rows : {1, 5}) {
        const std::vector<float> ones(static_cast<size_t>(rows * kIn), 1.0f);
        for (const float y : RunLinear(*backend_, matrix, ones, rows)) {
          EXPECT_NEAR(y, sign * kIn, 1e-5 * kIn) << Name(format);
        }
      }
    }
  }
}

// Of a row of whole numbers: the integer sum is exact; it is rounded once, and multiplied by a rounded scale.
void ExpectExactSums(const TestMatrix& matrix, std::span<const float> row,
                     std::span<const float> out) {
  for (size_t n = 0; n < out.size(); ++n) {
    double sum = 0, magnitude = 0;
    for (size_t k = 0; k < row.size(); ++k) {
      const double product = double{row[k]} * matrix.values[n * row.size() + k];
      sum += product;
      magnitude += std::abs(product);
    }
    ASSERT_NEAR(out[n], sum, 1e-6 * magnitude + 1e-6) << "channel " << n;
  }
}

// Kernels may take activations that are large beside their neighbours apart from the others. Inputs are small whole
// numbers, and with the probability `share` the largest, or those about which such kernels decide.
TEST_P(LinearTest, LargeActivationsAmongSmallOnes) {
  constexpr int64_t kOut = 70;
  constexpr float kLarge[] = {-127, -65, -64, -63, 63, 64, 65, 127};
  std::mt19937 random(3);
  const auto input = [&random, &kLarge](double share) {
    const bool is_large = std::bernoulli_distribution(share)(random);
    return is_large ? kLarge[random() % 8] : static_cast<float>(random() % 33) - 16.0f;
  };
  for (const int64_t in : {64, 200, 1700}) {
    MatrixSpec spec = MatrixSpec::Of(kOut, in, WeightFormat::kI8);
    spec.input_scale = 1.0f;
    const TestMatrix matrix = MakeMatrix(*backend_, spec, 11);
    for (const double share : {0.0, 0.01, 0.1, 0.3, 1.0}) {
      for (const int64_t rows : {4, 5, 8, 12, 13, 27}) {
        std::vector<float> x(static_cast<size_t>(rows * in));
        for (float& v : x) v = input(share);
        const std::vector<float> all = RunLinear(*backend_, matrix.packed, x, rows);
        for (int64_t r = 0; r < rows; ++r) {
          SCOPED_TRACE(testing::Message() << in << " columns, " << share << ", row " << r);
          const std::span<const float> row(x.data() + r * in, static_cast<size_t>(in));
          const std::vector<float> alone = RunLinear(*backend_, matrix.packed, row, 1);
          ASSERT_TRUE(SameBits(alone, {all.data() + r * kOut, alone.size()}));
          ASSERT_NO_FATAL_FAILURE(ExpectExactSums(matrix, row, alone));
        }
      }
    }
  }
}

// Two neighbours of 64 are the largest that a sum of 16 bits holds with all weights at their largest.
TEST_P(LinearTest, LargestSumsOfSmallActivations) {
  constexpr int64_t kIn = 512, kRows = 6;
  MatrixSpec spec = MatrixSpec::Of(32, kIn, WeightFormat::kI8);
  spec.input_scale = 1.0f;
  for (const float weight : {1.0f, -1.0f}) {
    const std::vector<float> weights(32 * kIn, weight);
    const WeightMatrix matrix = PackFloats(*backend_, spec, weights);
    for (const float value : {63.0f, 64.0f, 65.0f, -64.0f, -65.0f}) {
      for (const int64_t step : {4, 2, 1}) {
        std::vector<float> x(kRows * kIn);
        for (size_t i = 0; i < x.size(); i += static_cast<size_t>(step)) x[i] = value;
        for (const float y : RunLinear(*backend_, matrix, x, kRows)) {
          const float sum = weight * value * static_cast<float>(kIn / step);
          ASSERT_NEAR(y, sum, 1e-6f * std::abs(sum)) << value << " in each column of " << step;
        }
      }
    }
  }
}

TEST_P(LinearTest, FloatInputsAreForWholeRowsOfBytes) {
  for (const WeightForm& form :
       {WeightForm(WeightFormat::kI4, 0, ZeroPoint::kNone, Inputs::kFloat),
        WeightForm(WeightFormat::kI8, 64, ZeroPoint::kNone, Inputs::kFloat)}) {
    const auto matrix = packer().AllocateMatrix(MatrixSpec::Of(8, 64, form));
    ASSERT_FALSE(matrix.ok());
    EXPECT_EQ(matrix.status().code(), StatusCode::kUnsupported);
  }
}

TEST_P(LinearTest, ZerosInIntegers) {
  for (const WeightFormat format : {WeightFormat::kI8, WeightFormat::kI4}) {
    const std::vector<float> zeros(5 * 70);
    const WeightMatrix matrix = PackFloats(*backend_, {5, 70, format}, zeros);
    EXPECT_EQ(RunLinear(*backend_, matrix, zeros, 1), std::vector<float>(5));
  }
}

TEST_P(LinearTest, NoRowsIsNoWork) {
  const TestMatrix matrix = MakeMatrix(*backend_, {8, 8, WeightFormat::kF32}, 1);
  backend_->BeginStep(0);
  ops().Linear({.weight = &matrix.packed});
  ExpectOk(backend_->EndStep());
}

TEST_P(LinearTest, ARowIsTheSameBitsInAnyBatch) {
  constexpr int64_t kRows = 61, kOut = 301, kIn = 1003;
  for (const WeightForm& form : kAllForms) {
    const TestMatrix matrix = MakeMatrix(*backend_, MatrixSpec::Of(kOut, kIn, form), 5);
    const std::vector<float> x = RandomFloats(kRows * kIn, 6);
    const std::vector<float> all = RunLinear(*backend_, matrix.packed, x, kRows, Activation::kGelu);
    for (int64_t rows = 1; rows <= 30; ++rows) {
      const int64_t first = (rows * 7) % (kRows - rows);
      const std::vector<float> some = RunLinear(
          *backend_, matrix.packed, std::span(x).subspan(static_cast<size_t>(first * kIn)), rows,
          Activation::kGelu);
      ASSERT_TRUE(SameBits(some, {all.data() + first * kOut, some.size()}))
          << Name(form) << ", " << rows << " rows";
    }
  }
}

// So many rows and columns that kernels of floats may take columns in parts, and rows in groups.
TEST_P(LinearTest, LongBatchesOfWideRows) {
  constexpr int64_t kRows = 397, kOut = 33, kIn = 1603;
  for (const WeightForm& form : {WeightForm(WeightFormat::kF32), WeightForm(WeightFormat::kF16),
                                 WeightForm(WeightFormat::kBF16), WeightForm(kInt8BesideFloats)}) {
    Check(*backend_, {kRows, kOut, kIn, form, Activation::kGelu, WriteMode::kAdd});
    const TestMatrix matrix = MakeMatrix(*backend_, MatrixSpec::Of(kOut, kIn, form), 5);
    const std::vector<float> x = RandomFloats(kRows * kIn, 6);
    const std::vector<float> all = RunLinear(*backend_, matrix.packed, x, kRows);
    for (const int64_t row : {0, 192, 193, 396}) {
      const std::vector<float> alone = RunLinear(
          *backend_, matrix.packed, std::span(x).subspan(static_cast<size_t>(row * kIn)), 1);
      EXPECT_TRUE(SameBits(alone, {all.data() + row * kOut, alone.size()}))
          << Name(form) << ", row " << row;
    }
  }
}

// More columns than kernels compute at once, and more blocks of rows.
TEST_P(LinearTest, ARowIsTheSameBitsBesideManyOthers) {
  constexpr int64_t kRows = 109, kOut = 75, kIn = 4300;
  for (const WeightForm& form : {WeightForm(WeightFormat::kI8), WeightForm(WeightFormat::kI4),
                                 WeightForm(WeightFormat::kI4, 32),
                                 WeightForm(WeightFormat::kI4, 128, ZeroPoint::kPerGroup)}) {
    if (form.group == 0) Check(*backend_, {kRows, kOut, kIn, form});
    const TestMatrix matrix = MakeMatrix(*backend_, MatrixSpec::Of(kOut, kIn, form), 9);
    const std::vector<float> x = RandomFloats(kRows * kIn, 10);
    const std::vector<float> all = RunLinear(*backend_, matrix.packed, x, kRows);
    for (int64_t r = 0; r < kRows; r += 4) {
      const std::span<const float> row(x.data() + r * kIn, static_cast<size_t>(kIn));
      const std::vector<float> alone = RunLinear(*backend_, matrix.packed, row, 1);
      ASSERT_TRUE(SameBits(alone, {all.data() + r * kOut, alone.size()}))
          << Name(form) << ", row " << r;
    }
  }
}

TEST_P(LinearTest, TheNumberOfThreadsDoesNotShow) {
  for (const WeightForm& form : kAllForms) {
    const auto run = [&](int num_threads, const std::vector<float>& x, int64_t rows) {
      const auto backend = MakeTestBackend(GetParam(), num_threads);
      const TestMatrix matrix = MakeMatrix(*backend, MatrixSpec::Of(500, 700, form), 7);
      return RunLinear(*backend, matrix.packed, x, rows, Activation::kGelu);
    };
    for (const int64_t rows : {1, 40}) {
      const std::vector<float> x = RandomFloats(rows * 700, 8);
      const std::vector<float> two = run(2, x, rows);
      for (const int threads : {1, 3, 5})
        EXPECT_TRUE(SameBits(run(threads, x, rows), two)) << threads;
    }
  }
}

}  // namespace
}  // namespace dray::kernels
