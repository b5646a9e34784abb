// What the kernel tests share: reproducible numbers, packed matrices beside their exact values, and
// a fixture that runs each test for every instruction set of this machine.
#pragma once

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <cstring>
#include <memory>
#include <numeric>
#include <random>
#include <span>
#include <string>
#include <vector>

#include "kernels/backend.h"
#include "kernels/cpu/dispatch.h"
#include "kernels/make_backend.h"

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

inline float RoundTo(DType dtype, float value) {
  if (dtype == DType::kF16) return F16ToF32(F32ToF16(value));
  return dtype == DType::kBF16 ? BF16ToF32(F32ToBF16(value)) : value;
}

// The element of largest magnitude; of two, the positive one.
inline float PeakOf(std::span<const float> values) {
  float peak = 0;
  for (const float v : values) {
    if (std::abs(v) > std::abs(peak) || v == std::abs(peak)) peak = v;
  }
  return peak;
}

// One row of weights as `format` stores them.
inline void RoundRow(WeightFormat format, std::span<float> row) {
  if (format == WeightFormat::kF16 || format == WeightFormat::kBF16) {
    const DType dtype = format == WeightFormat::kF16 ? DType::kF16 : DType::kBF16;
    for (float& v : row) v = RoundTo(dtype, v);
  }
  if (format == WeightFormat::kI8) {
    const float scale = std::abs(PeakOf(row)) / 127.0f;
    const float inverse = scale > 0 ? 1.0f / scale : 0.0f;
    for (float& v : row) v = std::nearbyint(v * inverse) * scale;
  }
  if (format == WeightFormat::kI4) {
    for (size_t begin = 0; begin < row.size(); begin += 64) {
      const auto group = row.subspan(begin, std::min<size_t>(64, row.size() - begin));
      const float scale = RoundTo(DType::kF16, PeakOf(group) / -8.0f);
      const float inverse = scale != 0 ? 1.0f / scale : 0.0f;
      for (float& v : group) v = std::clamp(std::nearbyint(v * inverse), -8.0f, 7.0f) * scale;
    }
  }
}

// [rows, cols] as `format` stores it.
inline std::vector<float> Stored(const MatrixSpec& spec, std::vector<float> values) {
  for (int64_t r = 0; r < spec.rows; ++r) {
    RoundRow(spec.format, std::span(values).subspan(static_cast<size_t>(r * spec.cols),
                                                    static_cast<size_t>(spec.cols)));
  }
  return values;
}

// One row of activations as Linear rounds them for weights of `form`; `input_scale` as MatrixSpec
// has it.
inline std::vector<float> RoundedActivations(const WeightForm& form, std::span<const float> x,
                                             float input_scale = 0.0f) {
  std::vector<float> rounded(x.begin(), x.end());
  const bool is_integer = form.format == WeightFormat::kI8 || form.format == WeightFormat::kI4;
  if (form.format == WeightFormat::kBF16 || (is_integer && form.inputs == Inputs::kFloat)) {
    for (float& v : rounded) v = RoundTo(DType::kBF16, v);
  } else if (is_integer) {
    const float peak = input_scale > 0 ? 127.0f * input_scale : std::abs(PeakOf(x));
    const float scale = input_scale > 0 ? input_scale : peak / 127.0f;
    const float inverse = peak > 0 ? 127.0f / peak : 0.0f;
    for (float& v : rounded) {
      v = std::clamp(std::nearbyint(v * inverse), -127.0f, 127.0f) * scale;
    }
  }
  return rounded;
}

// A key or value of one head and token as a cache of `dtype` holds it: in 8 bits as activations.
inline std::vector<float> RoundedToCache(DType dtype, std::vector<float> x) {
  if (dtype == DType::kI8) return RoundedActivations(WeightFormat::kI8, x);
  for (float& v : x) v = RoundTo(dtype, v);
  return x;
}

inline void ExpectOk(const Status& status) { EXPECT_TRUE(status.ok()) << status.ToString(); }

inline std::unique_ptr<Backend> MakeTestBackend(const std::string& isa, int num_threads) {
  auto backend = MakeBackend({.cpu = {.num_threads = num_threads, .isa = isa}});
  EXPECT_TRUE(backend.ok()) << backend.status().ToString();
  return std::move(backend).value();
}

// Every head of all tokens, by the kernel of the backend's instruction set.
inline void RopeAndCache(const Backend& backend, const RopeAndCacheArgs& args) {
  const IsaKernels& isa = **SelectIsa(std::string(backend.isa()));
  const int64_t heads = args.num_heads + 2 * args.cache.num_kv_heads;
  isa.rope_and_cache[CacheFormat(args.cache.dtype)](args, Range{0, heads});
}

// A packed matrix and, row-major, the values that it really holds.
struct TestMatrix {
  WeightMatrix packed;
  std::vector<float> values;
};

inline TestMatrix MakeMatrix(Backend& backend, const MatrixSpec& spec, uint32_t seed) {
  TestMatrix matrix;
  matrix.packed = std::move(backend.packer().AllocateMatrix(spec)).value();
  matrix.values = RandomFloats(spec.rows * spec.cols, seed);
  ExpectOk(backend.packer().PackRows(
      matrix.packed, 0, {matrix.values.data(), DType::kF32, spec.rows, spec.cols, spec.cols, 1}));
  matrix.values = Stored(spec, std::move(matrix.values));
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
  // All rows of a matrix, through Embed.
  std::vector<float> Unpack(const WeightMatrix& matrix) {
    std::vector<int32_t> ids(static_cast<size_t>(matrix.rows()));
    std::iota(ids.begin(), ids.end(), 0);
    std::vector<float> out(static_cast<size_t>(matrix.rows() * matrix.cols()));
    EmbedArgs args;
    args.table = &matrix;
    args.ids = ids.data();
    args.num_tokens = matrix.rows();
    args.out = {out.data(), DType::kF32, matrix.cols()};
    backend_->ops().Embed(args);
    return out;
  }

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
                                               WeightFormat::kBF16, WeightFormat::kI8,
                                               WeightFormat::kI4};

// Those, and 8-bit weights beside float inputs.
inline const WeightForm kAllForms[] = {
    WeightFormat::kF32,  WeightFormat::kF16,
    WeightFormat::kBF16, WeightFormat::kI8,
    WeightFormat::kI4,   {WeightFormat::kI8, 0, ZeroPoint::kNone, Inputs::kFloat}};

}  // namespace dray::kernels
