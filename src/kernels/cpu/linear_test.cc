// Linear against sums in double precision, and the bitwise independence that the engine relies on.
#include <atomic>
#include <cmath>

#include "base/threads/thread_pool.h"
#include "kernels/cpu/panel_shares.h"
#include "kernels/testing/kernel_test_util.h"

namespace dray::kernels {
namespace {

class LinearTest : public IsaTest {};
DRAY_FOR_EVERY_ISA(LinearTest);

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
  std::vector<float> out = before;
  LinearArgs args;
  args.weight = &matrix.packed;
  args.x = {x.data(), DType::kF32, x_stride};
  args.rows = c.rows;
  args.bias = c.with_bias ? bias.data() : nullptr;
  args.activation = c.activation;
  args.mode = c.mode;
  args.out = {out.data(), DType::kF32, out_stride};
  backend.ops().Linear(args);

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
  for (const Activation activation : {Activation::kNone, Activation::kRelu, Activation::kGelu,
                                      Activation::kGeluTanh, Activation::kSilu}) {
    for (const WriteMode mode : {WriteMode::kOverwrite, WriteMode::kAdd}) {
      for (const bool with_bias : {false, true}) {
        Check(*backend_, {3, 45, 64, WeightFormat::kF32, activation, mode, with_bias});
        Check(*backend_, {3, 45, 64, WeightFormat::kI8, activation, mode, with_bias});
        Check(*backend_, {3, 45, 64, kAllForms[5], activation, mode, with_bias});
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
      WeightMatrix matrix = std::move(backend_->packer().AllocateMatrix({32, kIn, format})).value();
      const std::vector<float> w(32 * kIn, sign), x(kIn, 1.0f);
      ExpectOk(backend_->packer().PackRows(matrix, 0, {w.data(), DType::kF32, 32, kIn, kIn, 1}));
      std::vector<float> out(32);
      LinearArgs args;
      args.weight = &matrix;
      args.x = {x.data(), DType::kF32, kIn};
      args.rows = 1;
      args.out = {out.data(), DType::kF32, 32};
      backend_->ops().Linear(args);
      for (const float y : out) EXPECT_NEAR(y, sign * kIn, 1e-5 * kIn) << Name(format);
    }
  }
}

TEST_P(LinearTest, FloatInputsAreForWholeRowsOfBytes) {
  for (const WeightForm& form :
       {WeightForm(WeightFormat::kI4, 0, ZeroPoint::kNone, Inputs::kFloat),
        WeightForm(WeightFormat::kI8, 64, ZeroPoint::kNone, Inputs::kFloat)}) {
    const auto matrix = backend_->packer().AllocateMatrix(MatrixSpec::Of(8, 64, form));
    ASSERT_FALSE(matrix.ok());
    EXPECT_EQ(matrix.status().code(), StatusCode::kUnsupported);
  }
}

TEST_P(LinearTest, ZerosInIntegers) {
  for (const WeightFormat format : {WeightFormat::kI8, WeightFormat::kI4}) {
    WeightMatrix matrix = std::move(backend_->packer().AllocateMatrix({5, 70, format})).value();
    const std::vector<float> zeros(5 * 70);
    ExpectOk(backend_->packer().PackRows(matrix, 0, {zeros.data(), DType::kF32, 5, 70, 70, 1}));
    std::vector<float> out(5, 1.0f);
    LinearArgs args;
    args.weight = &matrix;
    args.x = {zeros.data(), DType::kF32, 70};
    args.rows = 1;
    args.out = {out.data(), DType::kF32, 5};
    backend_->ops().Linear(args);
    EXPECT_EQ(out, std::vector<float>(5));
  }
}

TEST_P(LinearTest, NoRowsIsNoWork) {
  const TestMatrix matrix = MakeMatrix(*backend_, {8, 8, WeightFormat::kF32}, 1);
  LinearArgs args;
  args.weight = &matrix.packed;
  backend_->ops().Linear(args);
}

std::vector<float> RunLinear(Backend& backend, const WeightMatrix& weight, const float* x,
                             int64_t rows) {
  std::vector<float> out(static_cast<size_t>(rows * weight.rows()));
  LinearArgs args;
  args.weight = &weight;
  args.x = {x, DType::kF32, weight.cols()};
  args.rows = rows;
  args.activation = Activation::kGelu;
  args.out = {out.data(), DType::kF32, weight.rows()};
  backend.ops().Linear(args);
  return out;
}

TEST_P(LinearTest, ARowIsTheSameBitsInAnyBatch) {
  constexpr int64_t kRows = 61, kOut = 301, kIn = 1003;
  for (const WeightForm& form : kAllForms) {
    const TestMatrix matrix = MakeMatrix(*backend_, MatrixSpec::Of(kOut, kIn, form), 5);
    const std::vector<float> x = RandomFloats(kRows * kIn, 6);
    const std::vector<float> all = RunLinear(*backend_, matrix.packed, x.data(), kRows);
    for (int64_t rows = 1; rows <= 30; ++rows) {
      const int64_t first = (rows * 7) % (kRows - rows);
      const std::vector<float> some =
          RunLinear(*backend_, matrix.packed, x.data() + first * kIn, rows);
      ASSERT_TRUE(SameBits(some, {all.data() + first * kOut, some.size()}))
          << Name(form) << ", " << rows << " rows";
    }
  }
}

TEST_P(LinearTest, TheNumberOfThreadsDoesNotShow) {
  for (const WeightForm& form : kAllForms) {
    const TestMatrix matrix = MakeMatrix(*backend_, MatrixSpec::Of(500, 700, form), 7);
    for (const int64_t rows : {1, 40}) {
      const std::vector<float> x = RandomFloats(rows * 700, 8);
      const std::vector<float> two = RunLinear(*backend_, matrix.packed, x.data(), rows);
      for (const int threads : {1, 3, 5}) {
        const auto other = MakeTestBackend(GetParam(), threads);
        EXPECT_TRUE(SameBits(RunLinear(*other, matrix.packed, x.data(), rows), two)) << threads;
      }
    }
  }
}

TEST(PanelSharesTest, EveryPanelIsTakenOnce) {
  constexpr int kThreads = 4;
  PanelShares shares(kThreads);
  for (const int64_t panels : {0, 1, 3, 7, 1000}) {
    shares.Reset(panels, kThreads);
    std::vector<std::atomic<int>> taken(static_cast<size_t>(panels));
    ThreadPool pool(kThreads);
    pool.Run([&](int thread_idx) {
      for (;;) {
        const Range part = shares.Take(thread_idx);
        if (part.begin >= part.end) break;
        for (int64_t p = part.begin; p < part.end; ++p) ++taken[static_cast<size_t>(p)];
      }
    });
    for (const auto& count : taken) EXPECT_EQ(count, 1) << panels;
  }
}

TEST(PanelSharesTest, OneThreadDoesTheWorkOfAStalledOne) {
  PanelShares shares(3);
  shares.Reset(30, 2);
  int64_t panels = 0;
  for (Range part = shares.Take(1); part.begin < part.end; part = shares.Take(1)) {
    panels += part.end - part.begin;
  }
  EXPECT_EQ(panels, 30);
}

}  // namespace
}  // namespace dray::kernels
