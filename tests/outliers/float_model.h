// A decoder's checkpoint as f32 numbers in memory, to be changed and written as another model.
#pragma once

#include <cstdint>
#include <filesystem>
#include <map>
#include <string>
#include <string_view>
#include <vector>

#include "base/parse/json.h"
#include "base/status.h"
#include "model/config/stack_config.h"
#include "outliers/layouts.h"
#include "tensor/tensor.h"

namespace dray::testing {

struct FloatTensor {
  Shape shape;
  std::vector<float> values;  // row-major

  // The number of columns; 1 for a vector.
  int64_t cols() const { return shape.rank() == 2 ? shape[1] : 1; }
  int64_t rows() const { return shape[0]; }
  float* Row(int64_t row) { return values.data() + row * cols(); }
  void ScaleRow(int64_t row, float factor);
  void ScaleColumn(int64_t col, float factor);
};

// A matrix, or the weights of a norm, and the vector that is added to the results.
struct Affine {
  FloatTensor* weight = nullptr;
  FloatTensor* bias = nullptr;  // null: nothing is added

  // Multiplies output `row`: a row of a matrix, an element of a norm, and that of the bias.
  void ScaleOutput(int64_t row, float factor) const;
};

// A norm of the residual stream and all the matrices that read its output.
struct NormAndReaders {
  Affine norm;
  std::vector<Affine> readers;
};

enum class HeadPart { kQuery, kKey, kValue };

class FloatModel {
 public:
  // Reads a folder. Fails if it cannot be opened as a model, or if no models with outliers can be
  // made of it: its family has no layout, a norm does not stand before what reads its output, or
  // weights are stored as integers or in slices.
  static Result<FloatModel> Read(const std::filesystem::path& dir);
  // Writes model.safetensors, config.json and copies of the other .json files of the folder that
  // was read. Makes the folder if there is none.
  Status Write(const std::filesystem::path& dir) const;

  const Layout& layout() const { return *layout_; }
  const model::StackConfig& stack() const { return stack_; }

  // By the names of the layout; the model must have the part.
  Affine Part(std::string_view name);
  Affine LayerPart(int64_t layer, std::string_view name);
  // The weights of these.
  FloatTensor& Weight(std::string_view name) { return *Part(name).weight; }
  FloatTensor& LayerWeight(int64_t layer, std::string_view name) {
    return *LayerPart(layer, name).weight;
  }

  // The norms of every layer, attention's first, then the final norm, if the model has a head.
  std::vector<NormAndReaders> Norms();
  // The matrices whose results are added to the residual stream.
  std::vector<Affine> StreamWriters();
  // The row of the part's matrix that makes a channel of all query, key or value heads.
  int64_t HeadRow(HeadPart part, int64_t channel) const;
  // Query heads that read the same key/value head.
  int64_t heads_per_kv_head() const { return stack_.num_heads / stack_.num_kv_heads; }

  // Gives a model whose head is the token table a head of its own, with the same numbers.
  void UntieHead();
  bool has_head() const;

 private:
  std::filesystem::path source_dir_;
  Json config_;
  const Layout* layout_ = nullptr;
  model::StackConfig stack_;
  std::map<std::string, FloatTensor> tensors_;  // by their full names
};

}  // namespace dray::testing
