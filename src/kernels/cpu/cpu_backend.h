// The host's processors as a backend. An operation is done when its call returns.
//
// Threads: as Backend says, one caller at a time; the threads of several backends take turns.
#pragma once

#include <algorithm>
#include <memory>
#include <string>
#include <string_view>

#include "kernels/backend.h"
#include "kernels/cpu/cpu_ops.h"
#include "kernels/cpu/cpu_packer.h"
#include "kernels/cpu/cpu_team.h"
#include "kernels/cpu/options.h"

namespace dray::kernels {

// The host's memory: copies are plain copies.
class CpuMemory final : public Memory {
 public:
  explicit CpuMemory(const CpuTeam& team) : team_(team) {}

  Allocator& allocator() override { return HostAllocator(); }
  Status CopyFromHost(void* device_dst, const void* host_src, size_t bytes) override;
  Status CopyToHost(void* host_dst, const void* device_src, size_t bytes) override;

 private:
  const CpuTeam& team_;
};

// How many threads compute a step.
struct StepThreads {
  int decode = 1;
  int prompt = 1;  // steps of many tokens

  int most() const { return std::max(decode, prompt); }
};

class CpuBackend final : public Backend {
 public:
  // The pool has as many threads as the larger of the two numbers, which are at least 1.
  CpuBackend(const IsaKernels& isa, const StepThreads& threads, std::unique_ptr<ThreadPool> pool);

  Memory& memory() override { return memory_; }
  Packer& packer() override { return packer_; }
  Ops& ops() override { return ops_; }
  void BeginStep(int64_t num_tokens) override;
  Status EndStep() override;
  void AdoptThread() override { team_.pool().BindCaller(); }
  ThreadPool* host_threads() override { return &team_.pool(); }
  std::string Describe() const override;
  std::string_view isa() const override { return team_.isa().name; }

 private:
  StepThreads threads_;
  CpuTeam team_;
  CpuMemory memory_{team_};
  CpuPacker packer_{team_};
  CpuOps ops_{team_};
};

}  // namespace dray::kernels
