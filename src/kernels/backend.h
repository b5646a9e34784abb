// A backend: one device's memory, packer and operations, and the steps that order their use. Engine
// and model code see only these interfaces, so a second device is a second implementation
// (docs/adding-a-backend.md).
//
// A device may run behind its caller. What a call names must then live for as long as this says:
//
//   argument structs, VectorNorms, and all host arrays    until the call returns; the caller may
//                                                         reuse them at once
//   WeightMatrix objects, and device memory that          until EndStep, or a CopyToHost called
//   operations use                                        later, has returned
//
// Threads: one caller at a time.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <utility>

#include "base/status.h"
#include "base/threads/thread_pool.h"
#include "kernels/memory.h"
#include "kernels/ops.h"
#include "kernels/packer.h"

namespace dray::kernels {

class Backend {
 public:
  virtual ~Backend() = default;

  // The same objects for the backend's whole life.
  virtual Memory& memory() = 0;
  virtual Packer& packer() = 0;
  virtual Ops& ops() = 0;

  // One step of a model, of `num_tokens` tokens, goes from BeginStep to EndStep. Where several
  // backends share a device it belongs to this one meanwhile, and the backend may choose by
  // `num_tokens` how many threads it uses. An operation outside of a step takes the device for
  // itself.
  virtual void BeginStep(int64_t num_tokens) = 0;
  // Waits for every operation called so far. Returns the first error of one since the last EndStep,
  // those called before the step included; the next step begins without it. Results of a step that
  // failed are undefined.
  virtual Status EndStep() = 0;
  // Called by a thread that from now on does little but call this backend.
  virtual void AdoptThread() = 0;
  // The threads that compute, for further work on host memory within a step; null if the backend
  // computes elsewhere.
  virtual ThreadPool* host_threads() { return nullptr; }

  // For people and reports: "cpu avx512-bf16, 2 threads".
  virtual std::string Describe() const = 0;
  // The instruction set or device generation that really runs: "avx2", "sm_90".
  virtual std::string_view isa() const = 0;
};

// One step of a model, which ends at the latest with this object.
class StepTurn {
 public:
  StepTurn(Backend& backend, int64_t num_tokens) : backend_(&backend) {
    backend_->BeginStep(num_tokens);
  }
  StepTurn(const StepTurn&) = delete;
  StepTurn& operator=(const StepTurn&) = delete;
  // An error that Finish has not returned is dropped: the caller has left on another one.
  ~StepTurn() {
    if (backend_ != nullptr) static_cast<void>(backend_->EndStep());
  }

  // Ends the step and returns its error. At most once.
  Status Finish() { return std::exchange(backend_, nullptr)->EndStep(); }

 private:
  Backend* backend_;
};

}  // namespace dray::kernels
