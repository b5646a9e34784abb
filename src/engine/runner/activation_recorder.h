// A backend that watches what goes into some matrices while another one computes, so that a model
// is calibrated by the very code that serves it.
#pragma once

#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <unordered_map>
#include <utility>
#include <vector>

#include "kernels/backend.h"

namespace dray::engine {

class ActivationRecorder : public kernels::Backend {
 public:
  explicit ActivationRecorder(std::unique_ptr<kernels::Backend> inner) : inner_(std::move(inner)) {}

  // From now on raises peaks[c] to the largest magnitude of input channel c of `matrix`, which must
  // be computed by this backend; both must outlive the calls.
  void Watch(const kernels::WeightMatrix& matrix, std::span<float> peaks) {
    watched_[&matrix] = peaks;
  }

  void Linear(const kernels::LinearArgs& args) override;
  void QkvLinear(const kernels::LinearArgs& linear,
                 const kernels::RopeAndCacheArgs& heads) override;

  void BeginStep(int64_t num_tokens) override { inner_->BeginStep(num_tokens); }
  void EndStep() override { inner_->EndStep(); }
  void AdoptThread() override { inner_->AdoptThread(); }
  std::string Describe() const override { return inner_->Describe(); }
  std::string_view isa() const override { return inner_->isa(); }
  Allocator& allocator() override { return inner_->allocator(); }
  void CopyFromHost(void* device_dst, const void* host_src, size_t bytes) override {
    inner_->CopyFromHost(device_dst, host_src, bytes);
  }
  void CopyToHost(void* host_dst, const void* device_src, size_t bytes) override {
    inner_->CopyToHost(host_dst, device_src, bytes);
  }
  kernels::WeightFormat NativeFormat(DType dtype) const override {
    return inner_->NativeFormat(dtype);
  }
  Result<kernels::WeightMatrix> AllocateMatrix(const kernels::MatrixSpec& spec) override {
    return inner_->AllocateMatrix(spec);
  }
  void PackRows(kernels::WeightMatrix& matrix, int64_t first_row,
                const kernels::SourceRows& source) override {
    inner_->PackRows(matrix, first_row, source);
  }
  void PackQuantizedRows(kernels::WeightMatrix& matrix, int64_t first_row,
                         const kernels::QuantizedSource& source,
                         std::span<const int64_t> rows) override {
    inner_->PackQuantizedRows(matrix, first_row, source, rows);
  }
  void Embed(const kernels::EmbedArgs& args) override { inner_->Embed(args); }
  void Norm(const kernels::NormArgs& args) override { inner_->Norm(args); }
  void Attention(const kernels::AttentionArgs& args) override { inner_->Attention(args); }
  void GatherRows(const kernels::GatherRowsArgs& args) override { inner_->GatherRows(args); }
  void CopyBlocks(const kernels::CopyBlocksArgs& args) override { inner_->CopyBlocks(args); }
  void Copy(void* dst, const void* src, size_t bytes) override { inner_->Copy(dst, src, bytes); }

 private:
  void Record(const kernels::LinearArgs& args);

  std::unique_ptr<kernels::Backend> inner_;
  std::unordered_map<const kernels::WeightMatrix*, std::span<float>> watched_;
  std::vector<float> normed_;
};

}  // namespace dray::engine
