// A linear layer as oneDNN and BLIS compute it: weights brought into the library's own order once,
// f32 activations in, f32 out, with what conversion of the activations the number format needs
// counted in.
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

// One matrix of random weights in one library and number format.
class LibraryLinear {
 public:
  virtual ~LibraryLinear() = default;
  // out[rows, out_features] = x[rows, in_features] * weight^T. The first call of a number of rows
  // may prepare kernels.
  virtual void Run(const float* x, int64_t rows, float* out) = 0;
};

// `format` is f32, bf16 or int8. Null: the library has no such product.
std::unique_ptr<LibraryLinear> MakeOneDnn(const Shape& shape, std::string_view format);
std::unique_ptr<LibraryLinear> MakeBlis(const Shape& shape, std::string_view format);

// Both libraries keep threads of their own.
void SetLibraryThreads(int num_threads);

}  // namespace dray::lab
