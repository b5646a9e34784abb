// An array in a backend's memory, for tests and benchmarks: values go in and come out by copies, so
// that what uses it works on every device.
#pragma once

#include <cstdint>
#include <memory>
#include <span>
#include <utility>
#include <vector>

#include "base/check.h"
#include "kernels/backend.h"

namespace dray::kernels {

template <typename T>
class DeviceArray {
 public:
  // `count` zeros. A backend without memory for them ends the process.
  DeviceArray(Backend& backend, size_t count) : memory_(&backend.memory()), count_(count) {
    Result<Buffer> buffer = memory_->allocator().Allocate(count * sizeof(T));
    DRAY_CHECK(buffer.ok());
    buffer_ = std::move(buffer).value();
  }
  DeviceArray(Backend& backend, std::span<const T> values) : DeviceArray(backend, values.size()) {
    Set(values);
  }
  DeviceArray(Backend& backend, const std::vector<T>& values)
      : DeviceArray(backend, std::span<const T>(values)) {}

  // An address of the device, null if there are no elements.
  T* data() const { return reinterpret_cast<T*>(buffer_.data()); }
  size_t size() const { return count_; }

  // Replaces the first elements.
  void Set(std::span<const T> values) {
    DRAY_CHECK(values.size() <= count_);
    DRAY_CHECK(memory_->CopyFromHost(data(), values.data(), values.size_bytes()).ok());
  }
  // What the array holds once all operations called so far are done; an error ends the process.
  std::vector<T> ToHost() const {
    std::vector<T> values(count_);
    DRAY_CHECK(memory_->CopyToHost(values.data(), data(), count_ * sizeof(T)).ok());
    return values;
  }

 private:
  Memory* memory_;
  size_t count_;
  Buffer buffer_;
};

// All rows of a matrix as floats, read by Embed.
inline std::vector<float> ReadMatrix(Backend& backend, const WeightMatrix& matrix) {
  std::vector<int32_t> rows(static_cast<size_t>(matrix.rows()));
  for (size_t i = 0; i < rows.size(); ++i) rows[i] = static_cast<int32_t>(i);
  const DeviceArray<int32_t> ids(backend, rows);
  const DeviceArray<float> out(backend, rows.size() * static_cast<size_t>(matrix.cols()));
  backend.ops().Embed({.table = &matrix,
                       .ids = ids.data(),
                       .num_tokens = matrix.rows(),
                       .out = {out.data(), DType::kF32, matrix.cols()}});
  return out.ToHost();
}

}  // namespace dray::kernels
