// What each instruction set provides: approximations, conversions, and the gate.
#include "kernels/cpu/isa_kernels.h"

#include <bit>
#include <cmath>
#include <limits>
#include <random>

#include "kernels/testing/backend_test.h"

namespace dray::kernels {
namespace {

class IsaKernelsTest : public IsaTest {};
DRAY_FOR_EVERY_ISA(IsaKernelsTest);

using Map = void (*)(const float*, float*, int64_t);

// The largest error over a range, in units in the last place of the exact result.
double WorstUlp(Map map, double (*exact)(double), float from, float to) {
  constexpr int64_t kPoints = 100003;
  std::vector<float> x(kPoints), y(kPoints);
  for (int64_t i = 0; i < kPoints; ++i) {
    x[static_cast<size_t>(i)] =
        from + (to - from) * static_cast<float>(i) / static_cast<float>(kPoints - 1);
  }
  map(x.data(), y.data(), kPoints);
  double worst = 0;
  for (size_t i = 0; i < x.size(); ++i) {
    const double expected = exact(x[i]);
    const float near = static_cast<float>(expected);
    const double ulp =
        std::abs(static_cast<double>(std::nextafter(near, 2 * near + 1e-30f)) - near);
    worst = std::max(worst, std::abs(y[i] - expected) / ulp);
  }
  return worst;
}

TEST_P(IsaKernelsTest, ExpTanhErfAreWithinAFewUlp) {
  EXPECT_LE(WorstUlp(Kernels().exp, std::exp, -87.0f, 88.0f), 2.0);
  EXPECT_LE(WorstUlp(Kernels().exp, std::exp, -1.0f, 1.0f), 2.0);
  EXPECT_LE(WorstUlp(Kernels().tanh, std::tanh, -10.0f, 10.0f), 3.0);
  EXPECT_LE(WorstUlp(Kernels().tanh, std::tanh, -0.7f, 0.7f), 3.0);
  EXPECT_LE(WorstUlp(Kernels().erf, std::erf, -5.0f, 5.0f), 3.0);
  EXPECT_LE(WorstUlp(Kernels().erf, std::erf, -1.1f, 1.1f), 3.0);
}

TEST_P(IsaKernelsTest, ApproximationsAtTheirEnds) {
  const float infinity = std::numeric_limits<float>::infinity();
  const float x[] = {0.0f, -0.0f, -infinity, infinity, -1000.0f, 1000.0f, NAN};
  float e[7], t[7], f[7];
  Kernels().exp(x, e, 7);
  Kernels().tanh(x, t, 7);
  Kernels().erf(x, f, 7);
  EXPECT_EQ(e[0], 1.0f);
  EXPECT_EQ(e[2], 0.0f);
  EXPECT_EQ(e[4], 0.0f);
  EXPECT_GT(e[5], 1e38f);
  EXPECT_TRUE(std::isnan(e[6]));
  for (const float* y : {t, f}) {
    EXPECT_EQ(y[0], 0.0f);
    EXPECT_EQ(y[2], -1.0f);
    EXPECT_EQ(y[3], 1.0f);
    EXPECT_TRUE(std::isnan(y[6]));
  }
}

// The largest error of an activation for `x` from `begin` to `end`; `relative`: divided by the result.
template <typename Function>
double WorstError(const IsaKernels& kernels, Activation activation, const Function& exact,
                  double begin, double end, bool relative) {
  constexpr int64_t kCount = 1 << 16;
  std::vector<float> x(kCount), y(kCount);
  for (int64_t i = 0; i < kCount; ++i) {
    x[static_cast<size_t>(i)] =
        static_cast<float>(begin + (end - begin) * (static_cast<double>(i) + 0.5) / kCount);
  }
  kernels.activate(activation, x.data(), y.data(), kCount);
  double worst = 0;
  for (size_t i = 0; i < x.size(); ++i) {
    const double expected = exact(static_cast<double>(x[i]));
    const double error = std::abs(static_cast<double>(y[i]) - expected);
    worst = std::max(worst, relative ? error / std::abs(expected) : error);
  }
  return worst;
}

TEST_P(IsaKernelsTest, GeluIsCloseToItsDefinition) {
  const auto gelu = [](double x) { return 0.5 * x * std::erfc(-x / std::sqrt(2.0)); };
  const auto worst = [&](double begin, double end, bool relative) {
    return WorstError(Kernels(), Activation::kGelu, gelu, begin, end, relative);
  };
  EXPECT_LE(worst(-20, 4, false), 4e-7);
  EXPECT_LE(worst(-6, -1, true), 3e-5);
  EXPECT_LE(worst(-1, 1, true), 3e-6);
  EXPECT_LE(worst(1, 100, true), 4e-7);
}

TEST_P(IsaKernelsTest, GeluTanhIsCloseToItsDefinition) {
  // 1 + tanh(y) is 2 / (1 + e^-2y), which does not cancel in the reference.
  const auto gelu = [](double x) {
    const double y = std::sqrt(2 / 3.14159265358979324) * (x + 0.044715 * x * x * x);
    return x / (1 + std::exp(-2 * y));
  };
  const auto worst = [&](double begin, double end, bool relative) {
    return WorstError(Kernels(), Activation::kGeluTanh, gelu, begin, end, relative);
  };
  EXPECT_LE(worst(-20, 4, false), 4e-7);
  EXPECT_LE(worst(-5, 0, true), 1e-5);
  EXPECT_LE(worst(0, 100, true), 4e-7);
}

TEST_P(IsaKernelsTest, GeluAtItsEnds) {
  const float infinity = std::numeric_limits<float>::infinity();
  const float x[] = {0.0f, -0.0f, 1000.0f, 3e38f, infinity, -1000.0f, -1e20f, NAN};
  for (const Activation activation : {Activation::kGelu, Activation::kGeluTanh}) {
    float y[8];
    Kernels().activate(activation, x, y, 8);
    for (int i = 0; i < 5; ++i) EXPECT_EQ(y[i], x[i]) << x[i];
    for (int i = 5; i < 7; ++i) EXPECT_NEAR(y[i], 0.0f, 1e-8f) << x[i];
    EXPECT_TRUE(std::isnan(y[7]));
  }
}

TEST_P(IsaKernelsTest, EveryHalfConvertsBothWays) {
  std::vector<uint16_t> bits(1 << 16), back(bits.size());
  for (size_t i = 0; i < bits.size(); ++i) bits[i] = static_cast<uint16_t>(i);
  std::vector<float> floats(bits.size());
  const auto count = static_cast<int64_t>(bits.size());
  for (const DType dtype : {DType::kF16, DType::kBF16}) {
    const bool is_f16 = dtype == DType::kF16;
    Kernels().convert(dtype, bits.data(), DType::kF32, floats.data(), count);
    Kernels().convert(DType::kF32, floats.data(), dtype, back.data(), count);
    for (size_t i = 0; i < bits.size(); ++i) {
      const float expected = is_f16 ? F16ToF32(bits[i]) : BF16ToF32(bits[i]);
      ASSERT_EQ(std::isnan(floats[i]), std::isnan(expected)) << i;
      if (std::isnan(expected)) continue;
      ASSERT_EQ(std::bit_cast<uint32_t>(floats[i]), std::bit_cast<uint32_t>(expected)) << i;
      ASSERT_EQ(back[i], bits[i]);
    }
  }
}

TEST_P(IsaKernelsTest, FloatsRoundToHalvesAsTheReferenceDoes) {
  std::mt19937 random(12);
  std::vector<float> floats(1 << 16);
  for (float& f : floats) f = std::bit_cast<float>(static_cast<uint32_t>(random()));
  for (size_t i = 0; i < 1000; ++i) floats[i] = static_cast<float>(i) * 0x1.02p-25f;  // subnormal
  std::vector<uint16_t> f16(floats.size()), bf16(floats.size());
  const auto count = static_cast<int64_t>(floats.size());
  Kernels().convert(DType::kF32, floats.data(), DType::kF16, f16.data(), count);
  Kernels().convert(DType::kF32, floats.data(), DType::kBF16, bf16.data(), count);
  for (size_t i = 0; i < floats.size(); ++i) {
    if (std::isnan(floats[i])) {
      ASSERT_TRUE(std::isnan(F16ToF32(f16[i])) && std::isnan(BF16ToF32(bf16[i])));
      continue;
    }
    ASSERT_EQ(f16[i], F32ToF16(floats[i])) << floats[i];
    ASSERT_EQ(bf16[i], F32ToBF16(floats[i])) << floats[i];
  }
}

TEST_P(IsaKernelsTest, Gate) {
  constexpr size_t kWidth = 37;
  const std::vector<float> x = RandomFloats(2 * kWidth, 5, 8.0f);
  std::vector<float> out(kWidth + 1, 7.0f);
  Kernels().gate(Activation::kSilu, x.data(), kWidth, out.data());
  for (size_t i = 0; i < kWidth; ++i) {
    const double gate = x[i], y = gate / (1 + std::exp(-gate)) * x[kWidth + i];
    EXPECT_NEAR(out[i], y, kRounding * 8 * (1 + std::abs(y)));
  }
  EXPECT_EQ(out[kWidth], 7.0f);
}

// Gated Linear is bit for bit Linear and then the gate, whatever panels gates and values fill.
TEST_P(IsaKernelsTest, GatedLinearIsLinearThenGate) {
  constexpr int64_t kIn = 100;
  for (const int64_t width : {96, 32, 50, 7}) {
    const auto bias = Device(RandomFloats(2 * width, 5));
    for (const WeightForm& form : kAllForms) {
      const TestMatrix matrix = MakeMatrix(*backend_, MatrixSpec::Of(2 * width, kIn, form), 6);
      for (const int64_t rows : {1, 3, 29, 200}) {
        const auto x = Device(RandomFloats(rows * kIn, 7, 3.0f));
        const auto both = Zeros(rows * 2 * width), out = Zeros(rows * width);
        LinearArgs linear = {.weight = &matrix.packed,
                             .x = Rows(x, kIn),
                             .rows = rows,
                             .bias = bias.data(),
                             .out = Rows(both, 2 * width)};
        ops().Linear(linear);
        linear.activation = Activation::kGeluTanh;
        linear.gated = true;
        linear.out = Rows(out, width);
        ops().Linear(linear);
        const std::vector<float> gates_and_values = both.ToHost();
        std::vector<float> expected(out.size());
        for (int64_t r = 0; r < rows; ++r) {
          Kernels().gate(Activation::kGeluTanh, gates_and_values.data() + r * 2 * width, width,
                         expected.data() + r * width);
        }
        ASSERT_TRUE(SameBits(out.ToHost(), expected))
            << Name(form) << ", width " << width << ", " << rows << " rows";
      }
    }
  }
}

// Sums of integers are exact. So sets differ only where a set rounds a product and a sum at once, and
// the portable one twice: in the float sums of groups.
TEST_P(IsaKernelsTest, IntegerWeightsGiveTheSameBitsInEverySet) {
  constexpr int64_t kOut = 70, kIn = 500;
  for (const WeightFormat format : {WeightFormat::kI8, WeightFormat::kI4}) {
    for (const int64_t group : {0, 32, 64, 128}) {
      for (const ZeroPoint zero : {ZeroPoint::kNone, ZeroPoint::kPerGroup}) {
        const MatrixSpec spec = {kOut, kIn, format, group, zero};
        if (GroupOf(spec) == 0 && zero != ZeroPoint::kNone) continue;
        const bool rounds_alike = GroupOf(spec) == 0;
        if (!rounds_alike && GetParam() == "portable") continue;
        const auto other = MakeTestBackend(rounds_alike ? "portable" : IsaNames().front(), 1);
        const TestMatrix here = MakeMatrix(*backend_, spec, 8), there = MakeMatrix(*other, spec, 8);
        for (const int64_t rows : {1, 2, 5, 9, 12, 13, 40}) {
          const std::vector<float> x = RandomFloats(rows * kIn, 9);
          ASSERT_TRUE(SameBits(RunLinear(*backend_, here.packed, x, rows),
                               RunLinear(*other, there.packed, x, rows)))
              << Name(format) << " in groups of " << group << ", " << rows << " rows";
        }
      }
    }
  }
}

}  // namespace
}  // namespace dray::kernels
