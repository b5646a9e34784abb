// Makes one vector of each text from the states of its tokens: pooling and the steps behind it.
#pragma once

#include <cstdint>
#include <memory>
#include <span>
#include <vector>

#include "checkpoint/checkpoint.h"
#include "kernels/backend.h"
#include "model/sentence/sentence_config.h"
#include "tensor/tensor.h"

namespace dray::model {

// Appends what `mode` makes of `states`, [tokens, hidden] of one text, to `out`: `hidden` numbers.
void AppendPooled(PoolingMode mode, std::span<const float> states, int64_t hidden,
                  std::vector<float>& out);

class TextVectors {
 public:
  // Loads the weights of the dense steps, if there are any; they are computed in f32. `backend` must
  // outlive the result. kInvalidArgument if the sizes of the steps do not fit, and errors of reading
  // weights, with the file.
  static Result<std::unique_ptr<TextVectors>> Make(const SentenceConfig& config, int64_t hidden,
                                                   kernels::Backend& backend,
                                                   const checkpoint::OpenOptions& files = {});

  // Numbers of a vector.
  int64_t size() const { return size_; }
  // `states`: [sum of lengths, hidden], text by text, in host memory. Returns [lengths.size(), size()].
  // In a step of the backend.
  Result<std::vector<float>> Run(std::span<const float> states, std::span<const int32_t> lengths);

 private:
  struct Dense {
    kernels::WeightMatrix weight;
    Tensor bias;  // empty: none
    kernels::Activation activation = kernels::Activation::kNone;
  };

  TextVectors(const SentenceConfig& config, int64_t hidden, kernels::Backend& backend)
      : config_(config), hidden_(hidden), size_(config.vector_size(hidden)), backend_(backend) {}
  Status LoadDense(const DenseStep& step, const checkpoint::OpenOptions& files);
  Result<std::vector<float>> RunDense(const Dense& dense, const std::vector<float>& vectors);

  const SentenceConfig config_;
  const int64_t hidden_, size_;
  kernels::Backend& backend_;
  std::vector<Dense> dense_;  // of the dense steps, in their order
};

}  // namespace dray::model
