// How fast weights are read where they are used: by products of one row of inputs with matrices that are together far
// larger than the caches, as decoding computes them. MachineLimits measures plain loads, which no product can beat;
// how near a product comes differs between processors, formats and states of the memory.
#pragma once

#include <cstdint>
#include <memory>
#include <vector>

#include "base/status.h"
#include "bench/machine_limits.h"
#include "kernels/backend.h"
#include "kernels/weight_matrix.h"
#include "tensor/buffer.h"

namespace dray::bench {

class ProductBandwidth {
 public:
  // As many matrices of `form` as `buffer_bytes` hold, at least one. `num_threads` has CpuOptions' meaning.
  // kUnsupported if the backend has no such form, kResourceExhausted if the memory is not there.
  static Result<ProductBandwidth> Make(int num_threads, const kernels::WeightForm& form,
                                       int64_t buffer_bytes = MachineLimits::kBufferBytes);

  // Bytes a second in one pass over all matrices.
  Result<double> Measure();
  // The best of three passes: other programs that ran at that moment can only make a figure worse.
  Result<double> MeasureBest();

 private:
  explicit ProductBandwidth(std::unique_ptr<kernels::Backend> backend)
      : backend_(std::move(backend)) {}
  Status AddMatrix(const kernels::WeightForm& form);

  std::unique_ptr<kernels::Backend> backend_;
  std::vector<kernels::WeightMatrix> matrices_;
  int64_t bytes_ = 0;  // of all matrices
  Buffer inputs_, outputs_;
};

}  // namespace dray::bench
