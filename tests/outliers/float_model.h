// A LLaMA-shaped checkpoint as f32 numbers in memory, to be changed and written as another model.
#pragma once

#include <cstdint>
#include <filesystem>
#include <map>
#include <string>
#include <vector>

#include "base/parse/json.h"
#include "base/status.h"
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

class FloatModel {
 public:
  // Reads a folder. Fails if it cannot be opened as a model, or if its model_type is not "llama", a
  // layer has biases, or weights are stored as integers or in slices.
  static Result<FloatModel> Read(const std::filesystem::path& dir);
  // Writes model.safetensors, config.json and copies of the other .json files of the folder that
  // was read. Makes the folder if there is none.
  Status Write(const std::filesystem::path& dir) const;

  // A tensor outside of the layers, such as "model.norm". The model must have it.
  FloatTensor& Weight(const std::string& name) { return tensors_.at(name + ".weight"); }
  // A tensor of a layer, such as "mlp.up_proj".
  FloatTensor& LayerWeight(int64_t layer, const std::string& name) {
    return Weight("model.layers." + std::to_string(layer) + "." + name);
  }
  // Gives a model whose head is the token table a head of its own, with the same numbers.
  void UntieHead();
  bool has_head() const { return tensors_.contains("lm_head.weight"); }

  int64_t num_layers() const { return num_layers_; }
  int64_t hidden() const { return hidden_; }
  int64_t head_dim() const { return head_dim_; }
  // Query heads that read the same key/value head.
  int64_t heads_per_kv_head() const { return heads_per_kv_head_; }

 private:
  std::filesystem::path source_dir_;
  Json config_;
  std::map<std::string, FloatTensor> tensors_;  // by their full names
  int64_t num_layers_ = 0;
  int64_t hidden_ = 0;
  int64_t head_dim_ = 0;
  int64_t heads_per_kv_head_ = 0;
};

}  // namespace dray::testing
