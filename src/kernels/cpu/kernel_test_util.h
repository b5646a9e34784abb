// What the kernel tests share: reproducible numbers, packed matrices beside their exact values, and
// a fixture that runs each test for every instruction set of this machine.
#pragma once

#include <gtest/gtest.h>

#include <cstring>
#include <memory>
#include <random>
#include <span>
#include <string>
#include <vector>

#include "kernels/backend.h"
#include "kernels/cpu/dispatch.h"

namespace dray::kernels {

// Half a unit in the last place of 1.0f: the relative error of one rounding.
inline constexpr double kRounding = 1.0 / (1 << 24);

inline std::vector<float> RandomFloats(int64_t count, uint32_t seed, float scale = 1.0f) {
  std::mt19937 random(seed);
  std::uniform_real_distribution<float> uniform(-scale, scale);
  std::vector<float> values(static_cast<size_t>(count));
  for (float& v : values) v = uniform(random);
  return values;
}

inline float RoundTo(WeightFormat format, float value) {
  switch (format) {
    case WeightFormat::kF32:
      return value;
    case WeightFormat::kF16:
      return F16ToF32(F32ToF16(value));
    case WeightFormat::kBF16:
      return BF16ToF32(F32ToBF16(value));
  }
  return value;
}

inline std::unique_ptr<Backend> MakeTestBackend(const std::string& isa, int num_threads) {
  auto backend = MakeCpuBackend({num_threads, isa});
  EXPECT_TRUE(backend.ok()) << backend.status().ToString();
  return std::move(backend).value();
}

// A packed matrix and, row-major, the values that it really holds.
struct TestMatrix {
  WeightMatrix packed;
  std::vector<float> values;
};

inline TestMatrix MakeMatrix(Backend& backend, const MatrixSpec& spec, uint32_t seed) {
  TestMatrix matrix;
  matrix.packed = std::move(backend.AllocateMatrix(spec)).value();
  matrix.values = RandomFloats(spec.rows * spec.cols, seed);
  backend.PackRows(matrix.packed, 0,
                   {matrix.values.data(), DType::kF32, spec.rows, spec.cols, spec.cols, 1});
  for (float& v : matrix.values) v = RoundTo(spec.format, v);
  return matrix;
}

inline bool SameBits(std::span<const float> a, std::span<const float> b) {
  const void* a_bytes = a.data();
  const void* b_bytes = b.data();
  return a.size() == b.size() && std::memcmp(a_bytes, b_bytes, a.size_bytes()) == 0;
}

// Tests run once for each instruction set that this processor has; GetParam() is its name.
class IsaTest : public testing::TestWithParam<std::string> {
 protected:
  std::unique_ptr<Backend> backend_ = MakeTestBackend(GetParam(), 2);
};

inline std::vector<std::string> IsaNames() {
  std::vector<std::string> names;
  for (const IsaKernels* isa : AvailableIsas()) names.emplace_back(isa->name);
  return names;
}

inline std::string TestName(const testing::TestParamInfo<std::string>& info) {
  std::string name = info.param;
  for (char& c : name) c = c == '-' ? '_' : c;
  return name;
}

#define DRAY_FOR_EVERY_ISA(fixture) \
  INSTANTIATE_TEST_SUITE_P(Isa, fixture, testing::ValuesIn(IsaNames()), TestName)

inline constexpr WeightFormat kAllFormats[] = {WeightFormat::kF32, WeightFormat::kF16,
                                               WeightFormat::kBF16};

}  // namespace dray::kernels
