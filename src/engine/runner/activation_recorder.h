// A backend that records the inputs of some matrices while another backend computes. So the code
// that serves a model also calibrates it.
#pragma once

#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <unordered_map>
#include <utility>
#include <vector>

#include "kernels/backend.h"
#include "tensor/tensor.h"

namespace dray::engine {

// The operations of another backend. Before a product with a watched matrix, its inputs are copied
// to the host and measured.
class RecordingOps final : public kernels::Ops {
 public:
  explicit RecordingOps(kernels::Backend& inner) : inner_(inner.ops()), memory_(inner.memory()) {}

  void Watch(const kernels::WeightMatrix& matrix, std::span<float> peaks) {
    watched_[&matrix] = peaks;
  }
  // The first error of a measurement since the last call.
  Status TakeFailure() { return std::exchange(failure_, OkStatus()); }

  void Linear(const kernels::LinearArgs& args) override;
  void QkvLinear(const kernels::LinearArgs& linear,
                 const kernels::RopeAndCacheArgs& heads) override;
  void Embed(const kernels::EmbedArgs& args) override { inner_.Embed(args); }
  void Norm(const kernels::NormArgs& args) override { inner_.Norm(args); }
  void Attention(const kernels::AttentionArgs& args) override { inner_.Attention(args); }
  void GatherRows(const kernels::GatherRowsArgs& args) override { inner_.GatherRows(args); }
  void CopyBlocks(const kernels::CopyBlocksArgs& args) override { inner_.CopyBlocks(args); }

 private:
  // Raises the peaks of a watched matrix to the magnitudes of a call's inputs.
  void Record(const kernels::LinearArgs& args);
  Status Measure(const kernels::LinearArgs& args, std::span<float> peaks);
  // What the matrix is multiplied with: the inputs, normalised if the call says so.
  Result<kernels::ConstActivations> InputsOf(const kernels::LinearArgs& args);

  kernels::Ops& inner_;
  kernels::Memory& memory_;
  std::unordered_map<const kernels::WeightMatrix*, std::span<float>> watched_;
  Tensor normed_;  // on the device; grows with the calls
  std::vector<float> rows_;
  Status failure_;
};

class ActivationRecorder final : public kernels::Backend {
 public:
  explicit ActivationRecorder(std::shared_ptr<kernels::Backend> inner)
      : inner_(std::move(inner)), ops_(*inner_) {}

  // From now on raises peaks[c] to the largest magnitude of input channel c of `matrix`, which must
  // be computed by this backend; both must outlive the calls.
  void Watch(const kernels::WeightMatrix& matrix, std::span<float> peaks) {
    ops_.Watch(matrix, peaks);
  }

  kernels::Memory& memory() override { return inner_->memory(); }
  kernels::Packer& packer() override { return inner_->packer(); }
  kernels::Ops& ops() override { return ops_; }
  void BeginStep(int64_t num_tokens) override { inner_->BeginStep(num_tokens); }
  Status EndStep() override;
  void AdoptThread() override { inner_->AdoptThread(); }
  ThreadPool* host_threads() override { return inner_->host_threads(); }
  std::string Describe() const override { return inner_->Describe(); }
  std::string_view isa() const override { return inner_->isa(); }

 private:
  std::shared_ptr<kernels::Backend> inner_;
  RecordingOps ops_;
};

}  // namespace dray::engine
