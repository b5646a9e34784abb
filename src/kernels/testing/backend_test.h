// Fixtures that run each test on every backend of this machine, through the table of operations and
// on arrays in the backend's memory; and those for what only the processors' backend has.
#pragma once

#include <gtest/gtest.h>

#include <cstdint>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "kernels/backend.h"
#include "kernels/cpu/dispatch.h"
#include "kernels/make_backend.h"
#include "kernels/testing/device_array.h"
#include "kernels/testing/reference.h"
#include "kernels/testing/unreadable_backend.h"

namespace dray::kernels {

inline constexpr char kUnreadable[] = "unreadable";

// The instruction sets of this processor.
inline std::vector<std::string> IsaNames() {
  std::vector<std::string> names;
  for (const IsaKernels* isa : AvailableIsas()) names.emplace_back(isa->name);
  return names;
}

// Every backend: the processors with each of their instruction sets, and the unreadable one.
inline std::vector<std::string> AllTestBackends() {
  std::vector<std::string> names = IsaNames();
  names.emplace_back(kUnreadable);
  return names;
}

inline void ExpectOk(const Status& status) { EXPECT_TRUE(status.ok()) << status.ToString(); }

// One of AllTestBackends; "" as the processors' backend chooses.
inline std::unique_ptr<Backend> MakeTestBackend(const std::string& name, int num_threads) {
  const bool unreadable = name == kUnreadable;
  auto backend = MakeBackend({.cpu = {.num_threads = num_threads, .isa = unreadable ? "" : name}});
  if (backend.ok() && unreadable) backend = MakeUnreadableBackend(std::move(*backend));
  EXPECT_TRUE(backend.ok()) << backend.status().ToString();
  return std::move(backend).value();
}

// GetParam() is the backend's name.
class BackendTest : public testing::TestWithParam<std::string> {
 protected:
  Ops& ops() { return backend_->ops(); }
  Packer& packer() { return backend_->packer(); }
  DeviceArray<float> Device(const std::vector<float>& values) { return {*backend_, values}; }
  DeviceArray<int32_t> Device(const std::vector<int32_t>& values) { return {*backend_, values}; }
  DeviceArray<float> Zeros(int64_t count) { return {*backend_, static_cast<size_t>(count)}; }

  std::unique_ptr<Backend> backend_ = MakeTestBackend(GetParam(), 2);
};

// Of the processors' backend alone; GetParam() is the instruction set's name.
class IsaTest : public BackendTest {
 protected:
  const IsaKernels& Kernels() const { return **SelectIsa(GetParam()); }
};

inline std::string TestName(const testing::TestParamInfo<std::string>& info) {
  std::string name = info.param;
  for (char& c : name) c = c == '-' ? '_' : c;
  return name;
}

#define DRAY_FOR_EVERY_BACKEND(fixture) \
  INSTANTIATE_TEST_SUITE_P(Backend, fixture, testing::ValuesIn(AllTestBackends()), TestName)
#define DRAY_FOR_EVERY_ISA(fixture) \
  INSTANTIATE_TEST_SUITE_P(Isa, fixture, testing::ValuesIn(IsaNames()), TestName)

// Dense rows of f32.
inline Activations Rows(const DeviceArray<float>& array, int64_t stride) {
  return {array.data(), DType::kF32, stride};
}

// A packed matrix and, row-major, the values that it really holds.
struct TestMatrix {
  WeightMatrix packed;
  std::vector<float> values;
};

inline WeightMatrix PackFloats(Backend& backend, const MatrixSpec& spec,
                               const std::vector<float>& values) {
  WeightMatrix matrix = std::move(backend.packer().AllocateMatrix(spec)).value();
  ExpectOk(backend.packer().PackRows(
      matrix, 0, {values.data(), DType::kF32, spec.rows, spec.cols, spec.cols, 1}));
  return matrix;
}

inline TestMatrix MakeMatrix(Backend& backend, const MatrixSpec& spec, uint32_t seed) {
  std::vector<float> values = RandomFloats(spec.rows * spec.cols, seed);
  TestMatrix matrix;
  matrix.packed = PackFloats(backend, spec, values);
  matrix.values = Stored(spec, std::move(values));
  return matrix;
}

// f32 ones on the diagonal: a product with it returns its finite inputs bit for bit.
inline WeightMatrix Identity(Backend& backend, int64_t size) {
  std::vector<float> values(static_cast<size_t>(size * size));
  for (int64_t i = 0; i < size; ++i) values[static_cast<size_t>(i * size + i)] = 1.0f;
  return PackFloats(backend, {size, size, WeightFormat::kF32}, values);
}

// out[rows, weight.rows()] = activation(x * weight^T)
inline std::vector<float> RunLinear(Backend& backend, const WeightMatrix& weight,
                                    std::span<const float> x, int64_t rows,
                                    Activation activation = Activation::kNone) {
  const DeviceArray<float> in(backend, x.first(static_cast<size_t>(rows * weight.cols())));
  const DeviceArray<float> out(backend, static_cast<size_t>(rows * weight.rows()));
  backend.ops().Linear({.weight = &weight,
                        .x = Rows(in, weight.cols()),
                        .rows = rows,
                        .activation = activation,
                        .out = Rows(out, weight.rows())});
  return out.ToHost();
}

// What QkvLinear does with heads, for projected heads that are given: heads.qkv is filled with them
// by a product with the identity. `qkv` is [heads.num_tokens, width], finite.
inline void RopeAndCache(Backend& backend, const std::vector<float>& qkv,
                         const RopeAndCacheArgs& heads) {
  const int64_t width = (heads.num_heads + 2 * heads.cache.num_kv_heads) * heads.cache.head_dim;
  const WeightMatrix identity = Identity(backend, width);
  const DeviceArray<float> x(backend, qkv);
  backend.ops().QkvLinear(
      {.weight = &identity, .x = Rows(x, width), .rows = heads.num_tokens, .out = heads.qkv},
      heads);
}

}  // namespace dray::kernels
