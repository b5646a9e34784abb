#include "bench/machine/product_bandwidth.h"

#include <algorithm>
#include <utility>

#include "kernels/make_backend.h"

namespace dray::bench {
namespace {

// The width of models of 7 B parameters. A matrix takes 8 to 64 MiB, so starting a product costs as little as there.
constexpr int64_t kWidth = 4096;

// Bytes that are ordinary numbers in every format: 0x3000 and what follows are small f16, bf16 and, in pairs, f32.
std::vector<uint16_t> OrdinaryNumbers() {
  std::vector<uint16_t> words(size_t{64} << 10);
  for (size_t i = 0; i < words.size(); ++i) words[i] = static_cast<uint16_t>(0x3000 + i % 64);
  return words;
}

}  // namespace

Result<ProductBandwidth> ProductBandwidth::Make(int num_threads, const kernels::WeightForm& form,
                                                int64_t buffer_bytes) {
  DRAY_ASSIGN_OR_RETURN(auto backend, kernels::MakeBackend({.cpu = {.num_threads = num_threads}}));
  ProductBandwidth made(std::move(backend));
  kernels::Memory& memory = made.backend_->memory();
  const std::vector<float> ones(kWidth, 1.0f);
  const size_t row_bytes = ones.size() * sizeof(float);
  DRAY_ASSIGN_OR_RETURN(made.inputs_, memory.allocator().Allocate(row_bytes));
  DRAY_ASSIGN_OR_RETURN(made.outputs_, memory.allocator().Allocate(row_bytes));
  DRAY_RETURN_IF_ERROR(memory.CopyFromHost(made.inputs_.data(), ones.data(), row_bytes));
  do {
    DRAY_RETURN_IF_ERROR(made.AddMatrix(form));
  } while (made.bytes_ < buffer_bytes);
  return made;
}

Status ProductBandwidth::AddMatrix(const kernels::WeightForm& form) {
  static const std::vector<uint16_t> kNumbers = OrdinaryNumbers();
  DRAY_ASSIGN_OR_RETURN(auto matrix, backend_->packer().AllocateMatrix(
                                         kernels::MatrixSpec::Of(kWidth, kWidth, form)));
  const size_t size = matrix.size_bytes(), piece = kNumbers.size() * sizeof(uint16_t);
  for (size_t done = 0; done < size; done += piece) {
    DRAY_RETURN_IF_ERROR(backend_->memory().CopyFromHost(matrix.data() + done, kNumbers.data(),
                                                         std::min(piece, size - done)));
  }
  bytes_ += static_cast<int64_t>(size);
  matrices_.push_back(std::move(matrix));
  return OkStatus();
}

Result<double> ProductBandwidth::Measure() {
  const Stopwatch watch;
  kernels::StepTurn step(*backend_, 1);
  for (const kernels::WeightMatrix& matrix : matrices_) {
    kernels::LinearArgs args;
    args.weight = &matrix;
    args.x = {inputs_.data(), DType::kF32, kWidth};
    args.rows = 1;
    args.out = {outputs_.data(), DType::kF32, kWidth};
    backend_->ops().Linear(args);
  }
  DRAY_RETURN_IF_ERROR(step.Finish());
  return static_cast<double>(bytes_) / watch.Seconds();
}

Result<double> ProductBandwidth::MeasureBest() {
  double best = 0;
  for (int i = 0; i < 3; ++i) {
    DRAY_ASSIGN_OR_RETURN(const double rate, Measure());
    best = std::max(best, rate);
  }
  return best;
}

}  // namespace dray::bench
