// A linear layer computed by oneDNN or BLIS. The weights are brought into the library's own order
// once. Inputs and outputs are f32; converting the inputs to the number format is part of the
// measured time.
#pragma once

#include <cstdint>
#include <memory>
#include <string_view>
#include <vector>

namespace dray::lab {

struct Shape {
  int64_t out_features = 0;
  int64_t in_features = 0;
};

// One matrix of random weights in one library and one number format.
class LibraryLinear {
 public:
  virtual ~LibraryLinear() = default;
  // out[rows, out_features] = x[rows, in_features] * weight^T. The first call with a number of rows
  // may prepare kernels for it.
  virtual void Run(const float* x, int64_t rows, float* out) = 0;
};

// `format` is f32, bf16 or int8. Returns null if the library has no such product.
std::unique_ptr<LibraryLinear> MakeOneDnn(const Shape& shape, std::string_view format);
std::unique_ptr<LibraryLinear> MakeBlis(const Shape& shape, std::string_view format);

// Both libraries have threads of their own.
void SetLibraryThreads(int num_threads);

}  // namespace dray::lab
